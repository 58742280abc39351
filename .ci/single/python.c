/* The interpreter of the unpacked program: Python, and a hold on the tree it is in.
 *
 * Whoever tidies the cache removes no tree whose `lock` somebody holds. Every process
 * of a tree comes through here, so every one holds it; forks share the hold, and what
 * they execute does not inherit it. Supervisors of tasks let go: they have loaded all
 * they need, and outlive any installation.
 */

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>

int Py_BytesMain(int argc, char **argv);

#define SELF "/bin/python"

int main(int argc, char **argv) {
    const char *path = (const char *)getauxval(AT_EXECFN);
    char lock[PATH_MAX];
    size_t length = path ? strlen(path) : 0;

    if (length > strlen(SELF) && length < sizeof lock &&
        strcmp(path + length - strlen(SELF), SELF) == 0) {
        snprintf(lock, sizeof lock, "%.*s/lock", (int)(length - strlen(SELF)), path);
        int fd = open(lock, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            flock(fd, LOCK_SH | LOCK_NB);
    }
    return Py_BytesMain(argc, argv);
}
