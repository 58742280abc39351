/* The single file: unpacks itself once into the user's cache, and starts from there.
 *
 * Static, so that it needs nothing where it runs. KEY names what it carries, so a tree
 * of that name in $XDG_CACHE_HOME/provctl/program is either ours or damaged. A tree
 * appears there whole, by rename, after it was synced; whether it is still whole is
 * looked at at every start, by the size and the time of each file. It cannot be moved
 * (the linker's path is in it), so where it is belongs to its name: a home that is
 * somebody's by two paths, one in a container say, has two.
 *
 * One unpacks at a time, under the lock of the folder. So what else is half there was
 * left by somebody who died.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define UNUSABLE 32             /* the exit code: a folder cannot be used */
#define MARK "\nprovctl single\n"
#define MADE 315532800          /* the time of all files: 1 January 1980 */
#define UNUSED_S (30 * 86400L)  /* after so long without a start a tree may go */
#define ORCHESTRATOR "provisioning-orchestrator"

/* What follows the program in its file: the index, with a record for each file and
 * folder (kind (d, f, x), size, path); the bytes of the files in that order, deflated;
 * and at the very end their sizes. Deflated data has a sum of its own. */
struct trailer {
    uint64_t index_size, data_size, index_sum;
    char mark[16];
};

static const char *index_start, *index_end;
static unsigned char *data_start;
static size_t data_size;

struct entry {
    char kind;
    off_t size;
    const char *path;
};

static int following(const char **at, struct entry *entry) {
    if (*at >= index_end)
        return 0;
    char *rest;
    entry->kind = **at;
    entry->size = strtoll(*at + 2, &rest, 10);
    entry->path = rest + 1;
    *at = entry->path + strlen(entry->path) + 1;
    return 1;
}

static void __attribute__((noreturn, format(printf, 2, 3)))
fail(const char *hint, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("error: ", stderr);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nhelp:  %s\n", hint);
    va_end(arguments);
    exit(UNUSABLE);
}

#define ELSEWHERE \
    "set XDG_CACHE_HOME to a folder of yours that programs may be started from"
#define AGAIN "get the file provctl again: this copy is damaged"

static char *text(const char *format, ...) {
    char *made;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&made, format, arguments) < 0)
        abort();
    va_end(arguments);
    return made;
}

static void find_carried(const char *program) {
    struct stat found;
    struct trailer trailer;
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    unsigned char *file = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &found) == 0)
        file = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED)
        fail("it has to be readable, not only executable", "%s: %s", program,
             strerror(errno));
    close(fd);
    size_t left = (size_t)found.st_size - sizeof trailer;
    unsigned char *end = file + left;
    memcpy(&trailer, end, sizeof trailer);
    if (memcmp(trailer.mark, MARK, sizeof trailer.mark) != 0)
        fail(AGAIN, "%s is not complete", program);
    if (trailer.data_size > left || trailer.index_size > left - trailer.data_size)
        fail(AGAIN, "what this file carries is damaged");
    data_size = trailer.data_size;
    data_start = end - data_size;
    index_end = (const char *)data_start;
    index_start = index_end - trailer.index_size;
    uLong sum = crc32(0, (const Bytef *)index_start, (uInt)trailer.index_size);
    if (sum != trailer.index_sum)
        fail(AGAIN, "what this file carries is damaged");
}

/* -- where --------------------------------------------------------------------- */

struct place {
    const char *path; /* the folder of trees */
    int folder;
    const char *name, *aside, *away; /* ours in it: for good, before, and after that */
};

static const char *home_of_account(void) {
    FILE *accounts = fopen("/etc/passwd", "re");
    struct passwd *account;
    while (accounts && (account = fgetpwent(accounts)))
        if (account->pw_uid == geteuid())
            return account->pw_dir;
    return NULL;
}

static char *cache_folder(void) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/')
        return text("%s", cache);
    if (!home || *home != '/')
        home = home_of_account();
    if (!home)
        fail(ELSEWHERE, "there is no home folder, so no place to unpack to");
    return text("%s/.cache", home);
}

/* Whether nobody else can put anything there. */
static int is_ours(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 && found.st_uid == geteuid() &&
           (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static void make_folders(const char *path) {
    char *part = text("%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            fail(ELSEWHERE, "%s: %s", path, strerror(errno));
        *slash = '/';
    }
    mkdir(part, 0700);
}

static int open_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        make_folders(path);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        fail(ELSEWHERE, "%s: %s", path, strerror(errno));
    if (!is_ours(fd))
        fail(ELSEWHERE, "%s: others may write there, so nothing is started from it", path);
    return fd;
}

/* What is around our folder: who can rename that could put another in its place,
 * after we have looked at it. The cache itself may be a /tmp. */
static void check_around(const char *cache) {
    struct stat found;
    char *ours = text("%s/provctl", cache);
    int common = stat(cache, &found) == 0 && found.st_mode & S_IWOTH &&
                 !(found.st_mode & S_ISVTX);
    if (common || stat(ours, &found) < 0 || found.st_uid != geteuid() ||
        found.st_mode & S_IWOTH)
        fail(ELSEWHERE, "%s: others may write there, so nothing is started from it",
             common ? cache : ours);
    free(ours);
}

static struct place find_place(void) {
    char *cache = cache_folder();
    struct place place = {.path = text("%s/provctl/program", cache)};
    uint32_t sum = 2166136261; /* FNV-1a */
    for (const char *at = place.path; *at; at++)
        sum = (sum ^ (unsigned char)*at) * 16777619;
    place.folder = open_folder(place.path);
    check_around(cache);
    free(cache);
    place.name = text(KEY "-%08x", sum);
    place.aside = text(".new-%s", place.name);
    place.away = text(".old-%s", place.name);
    return place;
}

/* -- what is there --------------------------------------------------------------- */

static int is_whole(const struct place *place) {
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int tree = openat(place->folder, place->name, flags);
    if (tree < 0)
        return 0;
    const char *at = index_start;
    struct entry entry;
    struct stat found;
    int whole = is_ours(tree);
    while (whole && following(&at, &entry)) {
        if (entry.kind == 'd')
            continue; /* its files are looked at */
        whole = fstatat(tree, entry.path, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(found.st_mode) && found.st_size == entry.size &&
                found.st_mtim.tv_sec == MADE && found.st_mtim.tv_nsec == 0 &&
                (found.st_mode & 0777) == (entry.kind == 'x' ? 0700 : 0600);
    }
    /* When it was last started from: the time of access of a file nobody reads. */
    const struct timespec used[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    if (whole)
        utimensat(tree, "lock", used, 0);
    close(tree);
    return whole;
}

/* -- unpacking -------------------------------------------------------------------- */

static int write_all(int fd, const unsigned char *bytes, size_t count) {
    while (count) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0)
            return -1;
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}

static int unpack_file(int tree, const struct entry *entry, z_stream *data) {
    static unsigned char bytes[1 << 18];
    const struct timespec made[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = MADE}};
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = openat(tree, entry->path, flags, entry->kind == 'x' ? 0700 : 0600);
    if (fd < 0)
        return -1;
    for (off_t left = entry->size; left > 0;) {
        size_t most = left < (off_t)sizeof bytes ? (size_t)left : sizeof bytes;
        data->next_out = bytes;
        data->avail_out = (uInt)most;
        int said = inflate(data, Z_NO_FLUSH);
        size_t got = most - data->avail_out;
        if ((said != Z_OK && said != Z_STREAM_END) || got == 0) {
            errno = EBADMSG;
            return -1;
        }
        if (write_all(fd, bytes, got) < 0)
            return -1;
        left -= (off_t)got;
    }
    if (futimens(fd, made) < 0)
        return -1;
    return close(fd);
}

/* Python is started by the dynamic linker of the tree, so its path goes into the
 * program, where the build left room for the longest one. */
static int name_linker(int tree, const struct place *place) {
    const struct timespec made[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = MADE}};
    char *linker = text("%s/%s/" LINKER, place->path, place->name);
    int fd = openat(tree, "bin/python", O_WRONLY | O_CLOEXEC);
    if (strlen(linker) >= LINKER_ROOM)
        errno = ENAMETOOLONG;
    else if (fd >= 0 &&
             pwrite(fd, linker, strlen(linker) + 1, LINKER_AT) > 0 &&
             futimens(fd, made) == 0)
        return close(fd);
    return -1;
}

static int unpack(const struct place *place) {
    z_stream data = {.next_in = data_start, .avail_in = (uInt)data_size};
    const char *at = index_start;
    struct entry entry;
    if (mkdirat(place->folder, place->aside, 0700) < 0 || inflateInit(&data) != Z_OK)
        return -1;
    int tree = openat(place->folder, place->aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (following(&at, &entry)) {
        int done = entry.kind == 'd' ? mkdirat(tree, entry.path, 0700)
                                     : unpack_file(tree, &entry, &data);
        if (done < 0)
            return -1;
    }
    /* The sum of all is at the very end. */
    unsigned char nothing;
    data.next_out = &nothing;
    data.avail_out = 1;
    if (inflate(&data, Z_FINISH) != Z_STREAM_END) {
        errno = EBADMSG;
        return -1;
    }
    inflateEnd(&data);
    if (name_linker(tree, place) < 0 || syncfs(tree) < 0)
        return -1;
    return close(tree);
}

static int remove_one(const char *path, const struct stat *found, int kind,
                      struct FTW *where) {
    (void)found, (void)kind, (void)where;
    remove(path); /* what stays is tried again the next time */
    return 0;
}

static void remove_tree(const struct place *place, const char *name) {
    char *path = text("%s/%s", place->path, name);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

/* Put the new tree into its place; a damaged one that is there goes, at no moment
 * without one where the file system can do that. */
static int put_in_place(const struct place *place) {
    int folder = place->folder;
    if (renameat(folder, place->aside, folder, place->name) == 0)
        return fsync(folder);
    if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
        return -1;
    if (renameat2(folder, place->aside, folder, place->name, RENAME_EXCHANGE) == 0)
        return fsync(folder);
    if (renameat(folder, place->name, folder, place->away) < 0 ||
        renameat(folder, place->aside, folder, place->name) < 0)
        return -1;
    return fsync(folder);
}

/* -- tidying ----------------------------------------------------------------------- */

/* Whether a tree of another version is long unused, and nobody runs from it. */
static int is_unused(const struct place *place, const char *name) {
    struct stat found;
    char *path = text("%s/lock", name);
    int lock = openat(place->folder, path, O_RDONLY | O_CLOEXEC);
    int unused = lock >= 0 ? flock(lock, LOCK_EX | LOCK_NB) == 0 && fstat(lock, &found) == 0
                           : fstatat(place->folder, name, &found, 0) == 0;
    unused = unused && time(NULL) - found.st_atim.tv_sec > UNUSED_S;
    if (lock >= 0)
        close(lock);
    free(path);
    return unused;
}

static void tidy(const struct place *place) {
    DIR *names = opendir(place->path);
    struct dirent *entry;
    while (names && (entry = readdir(names))) {
        const char *name = entry->d_name;
        if (strncmp(name, ".new-", 5) == 0 || strncmp(name, ".old-", 5) == 0)
            remove_tree(place, name);
        else if (*name != '.' && strcmp(name, place->name) && is_unused(place, name)) {
            /* Aside first: half of a tree must not have its name. */
            char *away = text(".old-%s", name);
            if (renameat(place->folder, name, place->folder, away) == 0)
                remove_tree(place, away);
            free(away);
        }
    }
    if (names)
        closedir(names);
}

static void make_whole(const struct place *place) {
    int lock = openat(place->folder, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        fail(ELSEWHERE, "%s: %s", place->path, strerror(errno));
    if (!is_whole(place)) { /* while we waited, another one may have unpacked it */
        tidy(place);
        if (unpack(place) < 0 || put_in_place(place) < 0) {
            int why = errno;
            remove_tree(place, place->aside);
            if (why == EBADMSG)
                fail(AGAIN, "what this file carries is damaged");
            fail(ELSEWHERE, "cannot unpack into %s: %s", place->path, strerror(why));
        }
        remove_tree(place, place->aside); /* a damaged one, exchanged */
        remove_tree(place, place->away);
    }
    close(lock);
}

/* -- starting ----------------------------------------------------------------------- */

/* The path by which this was started, for what has to start it again. */
static char *own_path(void) {
    const char *path = (const char *)getauxval(AT_EXECFN);
    char *here = *path == '/' ? NULL : getcwd(NULL, 0);
    return here ? text("%s/%s", here, path) : text("%s", path);
}

/* What is closed of stdin, stdout and stderr: else a file of ours would become it. */
static void open_missing(void) {
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDWR); /* the lowest that is free */
}

int main(int argc, char **argv) {
    open_missing();
    char *program = own_path(), *name = strrchr(program, '/');
    int orchestrates = name && strcmp(name + 1, ORCHESTRATOR) == 0;
    if (orchestrates) { /* a link; what is behind it is provctl */
        char *behind = realpath(program, NULL);
        program = behind ? behind : program;
    }
    find_carried(program);
    mode_t mask = umask(077);
    const struct place place = find_place();
    if (!is_whole(&place))
        make_whole(&place);
    umask(mask);

    char *tree = text("%s/%s", place.path, place.name);
    char *python = text("%s/bin/python", tree);
    char **words = calloc((size_t)argc + 6, sizeof *words);
    int count = 0;
    words[count++] = python;
    words[count++] = "-I";
    words[count++] = "-X";
    words[count++] = text("provctl=%s", program);
    words[count++] = text("%s/bin/%s", tree, orchestrates ? ORCHESTRATOR : "provctl");
    for (int i = 1; i < argc; i++)
        words[count++] = argv[i];
    execv(python, words);
    fail(ELSEWHERE, "%s cannot be started: %s", python, strerror(errno));
}
