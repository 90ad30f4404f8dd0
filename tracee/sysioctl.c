#include "tracee/sysioctl.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/hdreg.h>
#include <linux/if_tun.h>
#include <linux/kd.h>
#include <linux/loop.h>
#include <linux/nsfs.h>
#include <linux/random.h>
#include <linux/rtc.h>
#include <linux/sockios.h>
#include <linux/tiocl.h>
#include <linux/vt.h>

#include "common/err.h"
#include "tracee/sysout.h"

enum ioctl_kind {
	IO_OUT,                    /* writes `len` bytes at the argument */
	IO_IFCONF,                 /* struct ifconf, and the array that it points to */
	IO_FIEMAP,                 /* struct fiemap, and the extents behind it */
	IO_RNDGETPOOL,             /* two ints, then bytes */
	IO_DEDUPE,                 /* struct file_dedupe_range, and its records */
	IO_VERITY,                 /* struct fsverity_digest, and the digest behind it */
	IO_TIOCLINUX,              /* a subcode in the first byte */
	IO_ETHTOOL,                /* struct ifreq, and a structure of many kinds behind its pointer */
	IO_PROCMAP,                /* a name and a build id behind pointers */
	IO_PAGEMAP,                /* as many regions behind a pointer as the result says */
	IO_ELSEWHERE,              /* writes where the argument does not tell */
};

struct ioctl_desc {
	uint32_t request;
	uint16_t len;
	uint8_t kind;              /* enum ioctl_kind */
	const char *name;
};

#define IFREQ 40
/* Of /proc/PID/maps and /proc/PID/pagemap; newer than some headers. */
#define K_PROCMAP_QUERY _IOWR('f', 17, uint64_t[13])
#define K_PAGEMAP_SCAN _IOWR('f', 16, uint64_t[12])
#define IO(request, len) { request, len, IO_OUT, #request }
#define IOX(request, kind) { request, 0, kind, #request }

/*
 * Requests whose number says nothing, or not the truth: those of FS_IOC_* name a long and write an int.
 * In the order of use rather than of numbers; the list is searched from the front.
 */
static const struct ioctl_desc known[] = {
	/* terminals */
	IO(TCGETS, 36), IO(TIOCGWINSZ, 8), IO(FIONREAD, 4), IO(TIOCGPGRP, 4), IO(TIOCSPGRP, 0),
	IO(TCSETS, 0), IO(TCSETSW, 0), IO(TCSETSF, 0), IO(TIOCSWINSZ, 0), IO(TIOCGSID, 4),
	IO(TIOCGPTN, 4), IO(TIOCSPTLCK, 0), IO(TIOCGPTPEER, 0), IO(TIOCSCTTY, 0), IO(TIOCNOTTY, 0),
	IO(TCGETA, 18), IO(TCSETA, 0), IO(TCSETAW, 0), IO(TCSETAF, 0), IO(TCSBRK, 0),
	IO(TCXONC, 0), IO(TCFLSH, 0), IO(TIOCEXCL, 0), IO(TIOCNXCL, 0), IO(TIOCOUTQ, 4),
	IO(TIOCSTI, 0), IO(TIOCMGET, 4), IO(TIOCMBIS, 0), IO(TIOCMBIC, 0), IO(TIOCMSET, 0),
	IO(TIOCGSOFTCAR, 4), IO(TIOCSSOFTCAR, 0), IO(TIOCCONS, 0), IO(TIOCGSERIAL, 72), IO(TIOCSSERIAL, 0),
	IO(TIOCPKT, 0), IO(FIONBIO, 0), IO(TIOCSETD, 0), IO(TIOCGETD, 4), IO(TCSBRKP, 0),
	IO(TIOCSBRK, 0), IO(TIOCCBRK, 0), IO(TIOCGRS485, 32), IO(TIOCSRS485, 32), IO(TCGETX, 16),
	IO(TCSETX, 0), IO(TCSETXF, 0), IO(TCSETXW, 0), IO(TIOCVHANGUP, 0), IO(FIONCLEX, 0),
	IO(FIOCLEX, 0), IO(FIOASYNC, 0), IO(TIOCSERCONFIG, 0), IO(TIOCGLCKTRMIOS, 36), IO(TIOCSLCKTRMIOS, 0),
	IO(TIOCSERGETLSR, 4), IO(TIOCMIWAIT, 0), IO(TIOCGICOUNT, 80), IO(FIOQSIZE, 8),
	IOX(TIOCLINUX, IO_TIOCLINUX),
	/* files */
	IO(FS_IOC_GETFLAGS, 4), IO(FS_IOC_SETFLAGS, 0), IO(FS_IOC_GETVERSION, 4), IO(FS_IOC_SETVERSION, 0),
	IO(FICLONE, 0), IO(FICLONERANGE, 0), IO(FIGETBSZ, 4), IO(FIBMAP, 4), IOX(FS_IOC_FIEMAP, IO_FIEMAP),
	IOX(FIDEDUPERANGE, IO_DEDUPE), IOX(FS_IOC_MEASURE_VERITY, IO_VERITY),
	IOX(FS_IOC_READ_VERITY_METADATA, IO_ELSEWHERE), IO(FS_IOC_GETFSLABEL, 256), IO(FS_IOC_SETFSLABEL, 0),
	IO(FS_IOC_GET_ENCRYPTION_PWSALT, 16), IO(FS_IOC_GET_ENCRYPTION_POLICY, 12),
	IO(FS_IOC_GET_ENCRYPTION_POLICY_EX, 32), { K_PROCMAP_QUERY, 0, IO_PROCMAP, "PROCMAP_QUERY" },
	{ K_PAGEMAP_SCAN, 0, IO_PAGEMAP, "PAGEMAP_SCAN" },
	IO(NS_GET_USERNS, 0), IO(NS_GET_PARENT, 0), IO(NS_GET_NSTYPE, 0), IO(NS_GET_OWNER_UID, 4),
	/* block devices */
	IO(BLKROSET, 0), IO(BLKROGET, 4), IO(BLKRRPART, 0), IO(BLKGETSIZE, 8), IO(BLKFLSBUF, 0),
	IO(BLKRASET, 0), IO(BLKRAGET, 8), IO(BLKFRASET, 0), IO(BLKFRAGET, 8), IO(BLKSECTSET, 0),
	IO(BLKSECTGET, 2), IO(BLKSSZGET, 4), IO(BLKBSZGET, 4), IO(BLKGETSIZE64, 8), IO(BLKDISCARD, 0),
	IO(BLKIOMIN, 4), IO(BLKIOOPT, 4), IO(BLKALIGNOFF, 4), IO(BLKPBSZGET, 4), IO(BLKDISCARDZEROES, 4),
	IO(BLKSECDISCARD, 0), IO(BLKROTATIONAL, 2), IO(BLKZEROOUT, 0),
	IO(HDIO_GETGEO, 16), IO(HDIO_GET_IDENTITY, 512),
	IO(LOOP_SET_FD, 0), IO(LOOP_CLR_FD, 0), IO(LOOP_SET_STATUS, 0), IO(LOOP_GET_STATUS, 168),
	IO(LOOP_SET_STATUS64, 0), IO(LOOP_GET_STATUS64, 232), IO(LOOP_CHANGE_FD, 0), IO(LOOP_SET_CAPACITY, 0),
	IO(LOOP_SET_DIRECT_IO, 0), IO(LOOP_SET_BLOCK_SIZE, 0), IO(LOOP_CONFIGURE, 0), IO(LOOP_CTL_ADD, 0),
	IO(LOOP_CTL_REMOVE, 0), IO(LOOP_CTL_GET_FREE, 0),
	/* sockets and network interfaces */
	IOX(SIOCGIFCONF, IO_IFCONF), IOX(SIOCETHTOOL, IO_ETHTOOL),
	IO(SIOCGIFNAME, IFREQ), IO(SIOCGIFFLAGS, IFREQ), IO(SIOCGIFADDR, IFREQ), IO(SIOCGIFDSTADDR, IFREQ),
	IO(SIOCGIFBRDADDR, IFREQ), IO(SIOCGIFNETMASK, IFREQ), IO(SIOCGIFMETRIC, IFREQ), IO(SIOCGIFMEM, IFREQ),
	IO(SIOCGIFMTU, IFREQ), IO(SIOCGIFHWADDR, IFREQ), IO(SIOCGIFSLAVE, IFREQ), IO(SIOCGIFINDEX, IFREQ),
	IO(SIOCGIFPFLAGS, IFREQ), IO(SIOCGIFTXQLEN, IFREQ), IO(SIOCGIFMAP, IFREQ), IO(SIOCGIFCOUNT, IFREQ),
	IO(SIOCGIFBR, IFREQ), IO(SIOCGIFVLAN, IFREQ), IO(SIOCGMIIPHY, IFREQ), IO(SIOCGMIIREG, IFREQ),
	IO(SIOCSIFFLAGS, 0), IO(SIOCSIFADDR, 0), IO(SIOCSIFDSTADDR, 0), IO(SIOCSIFBRDADDR, 0),
	IO(SIOCSIFNETMASK, 0), IO(SIOCSIFMETRIC, 0), IO(SIOCSIFMTU, 0), IO(SIOCSIFNAME, 0),
	IO(SIOCSIFHWADDR, 0), IO(SIOCSIFTXQLEN, 0), IO(SIOCSIFPFLAGS, 0), IO(SIOCADDMULTI, 0),
	IO(SIOCDELMULTI, 0), IO(SIOCSIFSLAVE, 0), IO(SIOCSIFBR, 0), IO(SIOCSIFVLAN, 0), IO(SIOCSMIIREG, 0),
	IO(SIOCADDRT, 0), IO(SIOCDELRT, 0), IO(SIOCGARP, 68), IO(SIOCSARP, 0), IO(SIOCDARP, 0),
	IO(SIOCATMARK, 4), IO(SIOCGPGRP, 4), IO(SIOCSPGRP, 0), IO(FIOGETOWN, 4), IO(FIOSETOWN, 0),
	IO(SIOCGSTAMP_OLD, 16), IO(SIOCGSTAMPNS_OLD, 16), IO(SIOCOUTQNSD, 4),
	IO(SIOCGHWTSTAMP, IFREQ), IO(SIOCSHWTSTAMP, IFREQ),
	IO(TUNSETIFF, IFREQ), IO(TUNGETIFF, IFREQ), IO(TUNSETPERSIST, 0), IO(TUNSETOWNER, 0),
	/* clocks, randomness, consoles */
	IO(RTC_AIE_ON, 0), IO(RTC_AIE_OFF, 0), IO(RTC_UIE_ON, 0), IO(RTC_UIE_OFF, 0), IO(RTC_PIE_ON, 0),
	IO(RTC_PIE_OFF, 0), IO(RTC_RD_TIME, 36), IO(RTC_SET_TIME, 0), IO(RTC_WKALM_RD, 40),
	IO(RNDADDTOENTCNT, 0), IO(RNDZAPENTCNT, 0), IO(RNDCLEARPOOL, 0), IO(RNDRESEEDCRNG, 0),
	IOX(RNDGETPOOL, IO_RNDGETPOOL),
	IO(KDGETMODE, 4), IO(KDSETMODE, 0), IO(KDGKBMODE, 4), IO(KDSKBMODE, 0), IO(KDGKBTYPE, 1),
	IO(KDGETLED, 1), IO(KDSETLED, 0), IO(KDGKBLED, 1), IO(KDSKBLED, 0), IO(KDGKBENT, 4), IO(KDSKBENT, 0),
	IO(KDMKTONE, 0), IO(KIOCSOUND, 0),
	IO(VT_OPENQRY, 4), IO(VT_GETMODE, 8), IO(VT_SETMODE, 0), IO(VT_GETSTATE, 6), IO(VT_ACTIVATE, 0),
	IO(VT_WAITACTIVE, 0), IO(VT_RELDISP, 0), IO(VT_DISALLOCATE, 0),
};

static const struct ioctl_desc *find(uint32_t request)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].request == request)
			return &known[i];
	return NULL;
}

const char *sysioctl_name(uint32_t request)
{
	const struct ioctl_desc *d = find(request);

	return d ? d->name : NULL;
}

/*
 * Drivers whose structures hold pointers that are written through, or that share memory with the kernel. A letter is
 * often several drivers'; one that reaches further is enough.
 */
static bool reaches_elsewhere(uint32_t request)
{
	switch (_IOC_TYPE(request)) {
	case 'd':             /* GPUs */
	case 'F':             /* frame buffers, other GPUs */
	case 'V':             /* video */
	case 'U':             /* USB, sound control */
	case 'A':             /* sound frames */
	case 'H':             /* HID, Bluetooth */
	case 'N':             /* NVMe, NT synchronisation */
	case 'S':             /* SCSI, CD-ROM */
	case '"':             /* SCSI generic */
	case ';':             /* VFIO, IOMMU */
	case 7:               /* I2C */
	case 0x94:            /* Btrfs */
	case 0xaa:            /* user faults */
	case 0xae:            /* KVM */
	case 0xaf:            /* vhost */
	case 0xb6:            /* FPGA */
	case 0xfd:            /* device mapper */
		return true;
	default:
		return false;
	}
}

/* What the number itself says. */
static int encoded_len(uint32_t request, uint64_t *ret_len)
{
	uint32_t dir = _IOC_DIR(request);

	if (dir == _IOC_NONE || reaches_elsewhere(request))
		return -RL_EUNSUPPORTED;
	*ret_len = dir & _IOC_READ ? _IOC_SIZE(request) : 0;
	return 0;
}

int sysioctl_out_len(const struct sys_call *c, uint64_t *ret_len)
{
	uint32_t request = (uint32_t)c->arg[1];
	const struct ioctl_desc *d = find(request);

	if (!d)
		return encoded_len(request, ret_len);
	if (d->kind != IO_OUT)
		return -RL_EUNSUPPORTED;
	*ret_len = d->len;
	return 0;
}

static int add_ifconf(uint64_t arg, const struct sys_mem *m, struct sys_ranges *out)
{
	uint32_t len;
	uint64_t buf;

	if (sysout_u32(m, arg, &len) || sysout_u64(m, arg + 8, &buf))
		return -EFAULT;
	sys_ranges_add(out, arg, 4);
	return sys_ranges_add(out, buf, len);
}

static int add_fiemap(uint64_t arg, const struct sys_mem *m, struct sys_ranges *out)
{
	struct fiemap map;
	uint32_t n;

	if (m->read(m->ctx, arg, &map, sizeof(map)))
		return -EFAULT;
	/* Without room for extents the kernel only counts them. */
	n = map.fm_mapped_extents < map.fm_extent_count ? map.fm_mapped_extents : map.fm_extent_count;
	return sys_ranges_add(out, arg, sizeof(map) + (uint64_t)n * sizeof(struct fiemap_extent));
}

static int add_dedupe(uint64_t arg, const struct sys_mem *m, struct sys_ranges *out)
{
	struct file_dedupe_range range;

	if (m->read(m->ctx, arg, &range, sizeof(range)))
		return -EFAULT;
	return sys_ranges_add(out, arg, sizeof(range) +
			      (uint64_t)range.dest_count * sizeof(struct file_dedupe_range_info));
}

static int add_verity(uint64_t arg, const struct sys_mem *m, struct sys_ranges *out)
{
	struct fsverity_digest digest;

	if (m->read(m->ctx, arg, &digest, sizeof(digest)))
		return -EFAULT;
	return sys_ranges_add(out, arg, sizeof(digest) + (uint64_t)digest.digest_size);
}

static int add_pool(uint64_t arg, const struct sys_mem *m, struct sys_ranges *out)
{
	uint32_t size;

	if (sysout_u32(m, arg + 4, &size))
		return -EFAULT;
	return sys_ranges_add(out, arg, 8 + (uint64_t)size);
}

static int add_tioclinux(uint64_t arg, const struct sys_mem *m, struct sys_ranges *out)
{
	uint8_t sub;

	if (m->read(m->ctx, arg, &sub, 1))
		return -EFAULT;
	switch (sub) {
	case TIOCL_GETSHIFTSTATE:
	case TIOCL_GETMOUSEREPORTING:
	case TIOCL_GETFGCONSOLE:
	case TIOCL_GETKMSGREDIRECT:
		return sys_ranges_add(out, arg, 1);
	default:
		return 0;
	}
}

/* Fixed sizes of the ethtool commands that programs ask for in passing; the rest have strings and tables behind. */
static int add_ethtool(uint64_t arg, const struct sys_mem *m, struct sys_ranges *out)
{
	static const struct { uint32_t cmd, len; } sizes[] = {
		{ 0x01, 44 },         /* ETHTOOL_GSET */
		{ 0x03, 196 },        /* ETHTOOL_GDRVINFO */
		{ 0x05, 20 },         /* ETHTOOL_GWOL */
		{ 0x07, 8 },          /* ETHTOOL_GMSGLVL */
		{ 0x0a, 8 },          /* ETHTOOL_GLINK */
		{ 0x0e, 92 },         /* ETHTOOL_GCOALESCE */
		{ 0x10, 36 },         /* ETHTOOL_GRINGPARAM */
		{ 0x12, 16 },         /* ETHTOOL_GPAUSEPARAM */
		{ 0x14, 8 },          /* ETHTOOL_GRXCSUM */
		{ 0x16, 8 },          /* ETHTOOL_GTXCSUM */
		{ 0x18, 8 },          /* ETHTOOL_GSG */
		{ 0x1e, 8 },          /* ETHTOOL_GTSO */
		{ 0x23, 8 },          /* ETHTOOL_GUFO */
		{ 0x25, 8 },          /* ETHTOOL_GFLAGS */
		{ 0x2b, 8 },          /* ETHTOOL_GGSO */
		{ 0x2d, 8 },          /* ETHTOOL_GGRO */
		{ 0x3c, 36 },         /* ETHTOOL_GCHANNELS */
		{ 0x41, 44 },         /* ETHTOOL_GET_TS_INFO */
	};
	uint64_t data;
	uint32_t cmd;

	if (sysout_u64(m, arg + 16, &data) || sysout_u32(m, data, &cmd))
		return -EFAULT;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (sizes[i].cmd == cmd)
			return sys_ranges_add(out, data, sizes[i].len);
	return -RL_EUNSUPPORTED;
}

static int add_procmap(uint64_t arg, const struct sys_mem *m, struct sys_ranges *out)
{
	struct {
		uint64_t size, in[2], found[6];
		uint32_t dev[2], name_size, build_id_size;
		uint64_t name, build_id;
	} q;

	if (m->read(m->ctx, arg, &q, sizeof(q)))
		return -EFAULT;
	sys_ranges_add(out, arg, sizeof(q));
	sys_ranges_add(out, q.name, q.name_size);
	return sys_ranges_add(out, q.build_id, q.build_id_size);
}

static int add_pagemap(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint64_t a[12];            /* struct pm_scan_arg; [5] is the vector's address */

	if (m->read(m->ctx, c->arg[2], a, sizeof(a)))
		return -EFAULT;
	sys_ranges_add(out, c->arg[2], sizeof(a));
	return sys_ranges_add(out, a[5], (uint64_t)c->ret * 24);
}

static int add_known(const struct ioctl_desc *d, const struct sys_call *c, const struct sys_mem *m,
		     struct sys_ranges *out)
{
	uint64_t arg = c->arg[2];

	switch ((enum ioctl_kind)d->kind) {
	case IO_OUT:
		return sys_ranges_add(out, arg, d->len);
	case IO_IFCONF:
		return add_ifconf(arg, m, out);
	case IO_FIEMAP:
		return add_fiemap(arg, m, out);
	case IO_RNDGETPOOL:
		return add_pool(arg, m, out);
	case IO_DEDUPE:
		return add_dedupe(arg, m, out);
	case IO_VERITY:
		return add_verity(arg, m, out);
	case IO_TIOCLINUX:
		return add_tioclinux(arg, m, out);
	case IO_ETHTOOL:
		return add_ethtool(arg, m, out);
	case IO_PROCMAP:
		return add_procmap(arg, m, out);
	case IO_PAGEMAP:
		return add_pagemap(c, m, out);
	case IO_ELSEWHERE:
		return -RL_EUNSUPPORTED;
	}
	return -RL_EUNSUPPORTED;
}

/* Errors that mean that no driver has looked at the argument. */
static bool refused(int64_t ret)
{
	return ret == -ENOTTY || ret == -EBADF || ret == -EPERM || ret == -EACCES || ret == -ENODEV || ret == -ENOSYS;
}

int sysioctl_outputs(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	uint32_t request = (uint32_t)c->arg[1];
	const struct ioctl_desc *d = find(request);
	uint64_t len;
	int err;

	if (refused(c->ret))
		return 0;
	if (d)
		return sys_failed(c->ret) ? 0 : add_known(d, c, m, out);
	err = encoded_len(request, &len);
	if (err)
		return err;
	/* Unknown drivers may write and then fail; the bytes are there to be looked at either way. */
	if (sys_failed(c->ret) && m->read(m->ctx, c->arg[2], &(char){ 0 }, 1))
		return 0;
	return sys_ranges_add(out, c->arg[2], len);
}

int sysout_ioctl(const struct sys_call *c, const struct sys_mem *m, struct sys_ranges *out)
{
	return sysioctl_outputs(c, m, out);
}
