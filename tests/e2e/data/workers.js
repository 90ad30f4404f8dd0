// An http server and its clients in one process, then worker threads that make garbage.
const http = require('http');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

function work(n) {
	let x = n;
	let kept = [];
	for (let i = 0; i < 2e5; i++) {
		kept.push({ i, s: 'x' + (i % 97) });
		if (kept.length > 5000)
			kept = [];
		x = (x * 31 + i) >>> 0;
	}
	return x;
}

function ask(port, i) {
	return new Promise((resolve, reject) => {
		const q = http.request({ port, host: '127.0.0.1', method: 'POST', path: '/p' + i, agent: false }, (r) => {
			let text = '';
			r.on('data', (d) => text += d);
			r.on('end', () => resolve(text));
		});
		q.on('error', reject);
		q.end('body' + i);
	});
}

async function main(server) {
	const port = server.address().port;
	console.log((await Promise.all([...Array(20).keys()].map((i) => ask(port, i)))).join(' '));
	console.log(JSON.stringify(await Promise.all([0, 1, 2].map((n) => new Promise((resolve, reject) => {
		const w = new Worker(__filename, { workerData: n });
		w.on('message', resolve);
		w.on('error', reject);
	})))));
	server.close();
}

if (isMainThread) {
	const server = http.createServer((q, r) => {
		let body = '';
		q.on('data', (d) => body += d);
		q.on('end', () => r.end(body.toUpperCase() + q.url));
	});
	server.listen(0, '127.0.0.1', () => main(server));
} else {
	parentPort.postMessage([workerData, work(workerData)]);
}
