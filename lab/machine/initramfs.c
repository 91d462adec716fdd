/* Process 1 of the initramfs with which QEMU boots Debian's kernel: loads the modules beside it in the order of their names, makes the
 * host's root folder (virtiofs, read-only) its own root, and hands over to the program that the environment names. The kernel puts
 * parameters that it doesn't know into that environment. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what)
{
	printf("initramfs: %s: %s\n", what, strerror(errno));
	return 1;                                             /* the kernel panics, and panic=-1 ends the machine */
}

int main(void)
{
	char name[32];
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "/modules/%02d.ko", i);
		int fd = open(name, O_RDONLY);
		if (fd < 0)
			break;
		if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
			return fail(name);
		close(fd);
	}
	if (mount("root", "/root", "virtiofs", MS_RDONLY, NULL))
		return fail("mount of the root folder");
	if (mount("dev", "/root/dev", "devtmpfs", 0, NULL))
		return fail("mount of /dev");
	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		return fail("change of root");
	const char *init = getenv("lab_init");
	if (!init)
		return fail("no lab_init among the kernel's parameters");
	execl(init, init, (char *)NULL);
	return fail(init);
}
