/* Loaded into user-mode-linux (Debian's 6.1), whose buffer for a processor's registers is shorter than what a processor
 * with AMX has. Linux takes them as a whole or not at all (EFAULT), so such a machine would end at its first program.
 * Here the beginning that it knows is exchanged for the rest that it does not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/types.h>

enum { GETREGSET = 0x4204, SETREGSET = 0x4205, X86_XSTATE = 0x202 };

static long (*theirs)(int, pid_t, void *, void *);
/* Its kernel has one thread, and small stacks. */
static unsigned char whole[1 << 16];

__attribute__((constructor)) static void find(void)
{
	theirs = (long (*)(int, pid_t, void *, void *))dlsym(RTLD_NEXT, "ptrace");
}

long ptrace(int request, ...)
{
	va_list words;
	va_start(words, request);
	pid_t pid = va_arg(words, pid_t);
	void *address = va_arg(words, void *);
	void *data = va_arg(words, void *);
	va_end(words);
	if (request != SETREGSET || (long)address != X86_XSTATE)
		return theirs(request, pid, address, data);
	struct iovec *known = data, all = {whole, sizeof whole};
	if (theirs(GETREGSET, pid, address, &all) || known->iov_len >= all.iov_len)
		return theirs(request, pid, address, data);
	memcpy(whole, known->iov_base, known->iov_len);
	return theirs(SETREGSET, pid, address, &all);
}
