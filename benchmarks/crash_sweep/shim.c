/* A layer below SQLite and Python, put there by LD_PRELOAD: records what reaches the disk, and lets chosen calls fail.

   AEGIS_SHIM_FOLDER: only files below this folder count. AEGIS_SHIM_LOG: the record, read by disk.py.
   A record is a header (see struct entry), the path, a second path or the data that was written.
   AEGIS_SHIM_FAULTS: a file of the struct faults; who writes it from outside lets calls fail and moves the clock.
   crash_arm() lets the n-th call of a kind fail, and all after it. A wrong name would let the sweep find nothing:
   disk.py replays the whole record and compares the result with the real folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CREATE = 1, MKDIR, WRITE, TRUNCATE, SYNC, RENAME, EXCHANGE, UNLINK, RMDIR, NOTE };
enum { NO_SPACE = 1, WRITE_ERROR, SYNC_ERROR, READ_ERROR, READ_ONLY, SHORT_WRITE };

struct entry {
    uint32_t kind, path_bytes, data_bytes, pad;
    uint64_t inode, offset;
};

/* From outside: the kind of call that fails now (0: none), and by how much the clock is moved. */
struct faults {
    volatile int64_t kind, clock_seconds;
};

static const struct faults *outside;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static size_t folder_bytes;
static int record = -1;
static int armed;
static long countdown;
static long counted;

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("AEGIS_SHIM_LOG"), *faults = getenv("AEGIS_SHIM_FAULTS");
    int fd = faults ? syscall(SYS_openat, AT_FDCWD, faults, O_RDONLY | O_CLOEXEC, 0) : -1;
    folder = getenv("AEGIS_SHIM_FOLDER");
    folder_bytes = folder ? strlen(folder) : 0;
    if (log) record = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof *outside, PROT_READ, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED) outside = mapped;
        syscall(SYS_close, fd);
    }
}

static int ours(const char *path) {
    size_t length = strlen(path);
    if (!folder || strncmp(path, folder, folder_bytes) || path[folder_bytes] != '/') return 0;
    return length < 4 || strcmp(path + length - 4, "-shm");  /* SQLite maps it, never syncs it, and makes it anew */
}

static int named(int fd, char *path) {
    char link[64];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = syscall(SYS_readlinkat, AT_FDCWD, link, path, 4095);
    if (length <= 0) return 0;
    path[length] = 0;
    return ours(path) || !strcmp(path, folder ? folder : "");
}

static void note(int kind, uint64_t inode, uint64_t offset, const char *path, const void *data, size_t bytes) {
    struct entry head = {kind, (uint32_t)strlen(path), (uint32_t)bytes, 0, inode, offset};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, strlen(path)}, {(void *)data, bytes}};
    if (record < 0) return;
    pthread_mutex_lock(&lock);
    if (syscall(SYS_writev, record, parts, bytes ? 3 : 2) < 0) abort();
    pthread_mutex_unlock(&lock);
}

static uint64_t inode_of(const char *path) {
    struct stat found;
    return fstatat(AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) ? 0 : found.st_ino;
}

static uint64_t inode_at(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

/* For ctypes: let the n-th call of a kind (see the enum above) fail, and all that follow; kind 0 disarms. */
void crash_arm(int kind, long n) { counted = 0, countdown = n, armed = kind; }
/* For ctypes: how many calls of the armed kind there were. */
long crash_counted(void) { return counted; }
/* For ctypes: put a text into the record, in order with the writes. */
void crash_note(const char *text) { note(NOTE, 0, 0, text, "", 0); }

static int fails(int kind) {
    int now;
    if (outside && outside->kind == kind) return 1;
    if (armed != kind) return 0;
    pthread_mutex_lock(&lock);
    now = ++counted >= countdown;
    pthread_mutex_unlock(&lock);
    return now;
}

static int refuse(int number) {
    errno = number;
    return -1;
}

static int opened(int at, const char *path, int flags, mode_t mode) {
    char name[4200];
    int relevant = at == AT_FDCWD && path[0] == '/' && ours(path);
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    int is_new = relevant && (flags & O_CREAT) && !inode_of(path);
    int fd;
    if (relevant && writes && fails(READ_ONLY)) return refuse(EROFS);
    if (is_new && fails(NO_SPACE)) return refuse(ENOSPC);
    fd = syscall(SYS_openat, at, path, flags | O_LARGEFILE, mode);
    if (fd < 0 || !named(fd, name) || !writes) return fd;
    if (is_new) note(CREATE, inode_at(fd), 0, name, "", 0);
    else if (flags & O_TRUNC) note(TRUNCATE, inode_at(fd), 0, name, "", 0);
    return fd;
}

#define OPEN_BODY(at)                       \
    mode_t mode = 0;                        \
    if (flags & (O_CREAT | O_TMPFILE)) {    \
        va_list rest;                       \
        va_start(rest, flags);              \
        mode = va_arg(rest, mode_t);        \
        va_end(rest);                       \
    }                                       \
    return opened(at, path, flags, mode);
int open(const char *path, int flags, ...) { OPEN_BODY(AT_FDCWD) }
int open64(const char *path, int flags, ...) { OPEN_BODY(AT_FDCWD) }
int openat(int at, const char *path, int flags, ...) { OPEN_BODY(at) }
int openat64(int at, const char *path, int flags, ...) { OPEN_BODY(at) }

static ssize_t written(int fd, const void *data, size_t bytes, off_t offset, int positioned) {
    char name[4200];
    ssize_t done;
    if (!folder || !named(fd, name)) {
        return positioned ? syscall(SYS_pwrite64, fd, data, bytes, offset) : syscall(SYS_write, fd, data, bytes);
    }
    if (fails(NO_SPACE)) return refuse(ENOSPC);
    if (fails(WRITE_ERROR)) return refuse(EIO);
    if (bytes > 1 && fails(SHORT_WRITE)) {
        if (counted > countdown) return refuse(ENOSPC);
        bytes /= 2;
    }
    if (!positioned) offset = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    done = positioned ? syscall(SYS_pwrite64, fd, data, bytes, offset) : syscall(SYS_write, fd, data, bytes);
    if (done > 0) note(WRITE, inode_at(fd), offset, name, data, done);
    return done;
}
ssize_t write(int fd, const void *data, size_t bytes) { return written(fd, data, bytes, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return written(fd, data, bytes, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) { return written(fd, data, bytes, offset, 1); }

ssize_t pread64(int fd, void *data, size_t bytes, off_t offset) {
    char name[4200];
    if ((armed == READ_ERROR || outside) && named(fd, name) && fails(READ_ERROR)) return refuse(EIO);
    return syscall(SYS_pread64, fd, data, bytes, offset);
}

static int cut(int fd, off_t length) {
    char name[4200];
    int relevant = folder && named(fd, name);
    int failed;
    if (relevant && fails(WRITE_ERROR)) return refuse(EIO);
    failed = syscall(SYS_ftruncate, fd, length);
    if (!failed && relevant) note(TRUNCATE, inode_at(fd), length, name, "", 0);
    return failed;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off_t length) { return cut(fd, length); }

static int synced(int fd, long call) {
    char name[4200];
    int relevant = folder && named(fd, name);
    int failed;
    if (relevant && fails(SYNC_ERROR)) return refuse(EIO);
    /* The sweep asks what was told to be synced; waiting for the real disk would only take time. */
    failed = getenv("AEGIS_SHIM_QUICK") ? 0 : syscall(call, fd);
    if (!failed && relevant) note(SYNC, inode_at(fd), 0, name, "", 0);
    return failed;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int mkdir(const char *path, mode_t mode) {
    int failed;
    if (ours(path) && fails(NO_SPACE)) return refuse(ENOSPC);
    if (ours(path) && fails(READ_ONLY)) return refuse(EROFS);
    failed = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (!failed && ours(path)) note(MKDIR, inode_of(path), 0, path, "", 0);
    return failed;
}

int rename(const char *from, const char *to) {
    int failed;
    if (ours(from) && fails(READ_ONLY)) return refuse(EROFS);
    failed = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!failed && ours(from)) note(RENAME, 0, 0, from, to, strlen(to));
    return failed;
}

int renameat2(int old, const char *from, int new, const char *to, unsigned flags) {
    int failed = syscall(SYS_renameat2, old, from, new, to, flags);
    if (!failed && ours(from)) note(flags & RENAME_EXCHANGE ? EXCHANGE : RENAME, 0, 0, from, to, strlen(to));
    return failed;
}

int unlink(const char *path) {
    int failed = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!failed && ours(path)) note(UNLINK, 0, 0, path, "", 0);
    return failed;
}

int rmdir(const char *path) {
    int failed = syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
    if (!failed && ours(path)) note(RMDIR, 0, 0, path, "", 0);
    return failed;
}

/* Python's shutil: the file's name in an open folder. */
int unlinkat(int at, const char *path, int flags) {
    char name[4200];
    int failed = syscall(SYS_unlinkat, at, path, flags);
    if (failed || !folder) return failed;
    if (path[0] == '/') strcpy(name, path);
    else if (at == AT_FDCWD || !named(at, name)) return failed;
    else strcat(strcat(name, "/"), path);
    if (ours(name)) note(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, name, "", 0);
    return failed;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, which, now);
    int moved = which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE;
    if (!failed && outside && moved) now->tv_sec += outside->clock_seconds;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed && outside) now->tv_sec += outside->clock_seconds;
    return failed;
}

time_t time(time_t *at) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
