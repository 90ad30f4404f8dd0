# nginx with two workers on a socket in this directory, asked by clients at once; told to finish what it has and end.
mkdir -p www
seq 1 2000 > www/index.html
[ "$(id -u)" = 0 ] && user="user root;"   # else its workers could not read this directory
cat > nginx.conf <<EOF
$user worker_processes 2; daemon off; pid nginx.pid; error_log stderr crit;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
	server { listen unix:$PWD/sock; location / { root $PWD/www; } }
}
EOF
rm -f sock
nginx -p "$PWD" -c nginx.conf -e stderr &
n=$!
i=0
until curl -sf -o /dev/null --unix-socket sock http://localhost/; do
	sleep 0.1
	i=$((i+1))
	[ $i -gt 300 ] && { kill $n; exit 9; }
done
for c in 1 2 3 4; do
	(for k in 1 2 3 4 5; do curl -sf --unix-socket sock http://localhost/; done | cksum) &
	clients="$clients $!"
done
wait $clients
kill -QUIT $n
wait $n
echo "nginx ended with $?"
