/* Hadoop's C interface (libhdfs, hdfs.h) over a directory of this machine, named by FAKE_HDFS_ROOT.
 *
 * Of Hadoop's ways it has those that a client sees: names in a listing are whole URIs, a file is
 * written with the directories above it, and a rename does not replace what is there.
 * Source: github.com/apache/hadoop, libhdfs/include/hdfs/hdfs.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct { int unused; } Anything;
typedef struct {
    int kind; /* 'F' or 'D' */
    char *name;
    time_t modified;
    int64_t size;
    short replication;
    int64_t block_size;
    char *owner, *group;
    short permissions;
    time_t read;
} Info;

static Anything one;

static const char *at(const char *path) {
    static __thread char places[2][PATH_MAX];
    static __thread int turn;
    const char *root = getenv("FAKE_HDFS_ROOT"), *rest = strstr(path, "://");
    turn = !turn;
    if (rest) path = strchr(rest + 3, '/') ? strchr(rest + 3, '/') : "/";
    snprintf(places[turn], PATH_MAX, "%s%s%s", root, *path == '/' ? "" : "/", path);
    return places[turn];
}

static int make_directories(char *place) {
    for (char *slash = strchr(place + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(place, 0777);
        *slash = '/';
    }
    return mkdir(place, 0777) && errno != EEXIST ? -1 : 0;
}

static int describe(const char *path, const char *place, Info *info) {
    struct stat found;
    if (stat(place, &found)) return -1;
    char name[2 * PATH_MAX];
    snprintf(name, sizeof name, "%s%s", strstr(path, "://") ? "" : "hdfs://name:8020", path);
    *info = (Info){.kind = S_ISDIR(found.st_mode) ? 'D' : 'F', .name = strdup(name),
                   .modified = found.st_mtime, .size = S_ISDIR(found.st_mode) ? 0 : found.st_size,
                   .replication = 1, .block_size = 1 << 27, .owner = strdup("owner"),
                   .group = strdup("group"), .permissions = 0644, .read = found.st_atime};
    return 0;
}

/* --- Connecting ------------------------------------------------------------------------------ */
void *hdfsNewBuilder(void) { return &one; }
void hdfsBuilderSetNameNode(void *b, const char *host) { (void)b; (void)host; }
void hdfsBuilderSetNameNodePort(void *b, uint16_t port) { (void)b; (void)port; }
void hdfsBuilderSetUserName(void *b, const char *user) { (void)b; (void)user; }
void hdfsBuilderSetKerbTicketCachePath(void *b, const char *path) { (void)b; (void)path; }
void hdfsBuilderSetForceNewInstance(void *b) { (void)b; }
int hdfsBuilderConfSetStr(void *b, const char *k, const char *v) { (void)b; (void)k; (void)v; return 0; }
void *hdfsBuilderConnect(void *b) { (void)b; return getenv("FAKE_HDFS_ROOT") ? &one : NULL; }
int hdfsDisconnect(void *fs) { (void)fs; return 0; }

/* --- Files ----------------------------------------------------------------------------------- */
void *hdfsOpenFile(void *fs, const char *path, int flags, int buffer, short copies, int32_t block) {
    (void)fs; (void)buffer; (void)copies; (void)block;
    char place[PATH_MAX];
    struct stat found;
    strcpy(place, at(path));
    if (flags & O_WRONLY) {
        char *name = strrchr(place, '/');
        *name = 0;
        make_directories(place);
        *name = '/';
        flags |= O_CREAT | (flags & O_APPEND ? 0 : O_TRUNC);
    } else if (!stat(place, &found) && S_ISDIR(found.st_mode)) {
        errno = EISDIR;
        return NULL;
    }
    int file = open(place, flags, 0666);
    if (file < 0) return NULL;
    int *handle = malloc(sizeof *handle);
    *handle = file;
    return handle;
}
int hdfsCloseFile(void *fs, void *file) {
    (void)fs;
    int failed = close(*(int *)file);
    free(file);
    return failed;
}
int32_t hdfsRead(void *fs, void *file, void *to, int32_t size) { (void)fs; return (int32_t)read(*(int *)file, to, size); }
int32_t hdfsPread(void *fs, void *file, int64_t from, void *to, int32_t size) { (void)fs; return (int32_t)pread(*(int *)file, to, size, from); }
int32_t hdfsWrite(void *fs, void *file, const void *data, int32_t size) { (void)fs; return (int32_t)write(*(int *)file, data, size); }
int hdfsSeek(void *fs, void *file, int64_t to) { (void)fs; return lseek(*(int *)file, to, SEEK_SET) < 0 ? -1 : 0; }
int64_t hdfsTell(void *fs, void *file) { (void)fs; return lseek(*(int *)file, 0, SEEK_CUR); }
int hdfsFlush(void *fs, void *file) { (void)fs; (void)file; return 0; }
int hdfsHFlush(void *fs, void *file) { (void)fs; (void)file; return 0; }
int hdfsAvailable(void *fs, void *file) { (void)fs; (void)file; return 0; }

/* --- Names ----------------------------------------------------------------------------------- */
int hdfsExists(void *fs, const char *path) { (void)fs; return access(at(path), F_OK); }
int hdfsCreateDirectory(void *fs, const char *path) {
    (void)fs;
    char place[PATH_MAX];
    strcpy(place, at(path));
    return make_directories(place);
}
static int delete_all(const char *place) {
    DIR *directory = opendir(place);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char inner[2 * PATH_MAX];
        snprintf(inner, sizeof inner, "%s/%s", place, entry->d_name);
        delete_all(inner);
    }
    if (directory) closedir(directory);
    return remove(place);
}
int hdfsDelete(void *fs, const char *path, int recursive) {
    (void)fs;
    return recursive ? delete_all(at(path)) : remove(at(path));
}
int hdfsRename(void *fs, const char *from, const char *to) {
    (void)fs;
    if (!access(at(to), F_OK)) {
        errno = EEXIST;
        return -1;
    }
    return rename(at(from), at(to));
}
int hdfsCopy(void *a, const char *from, void *b, const char *to) { (void)a; (void)from; (void)b; (void)to; errno = ENOTSUP; return -1; }
int hdfsMove(void *a, const char *from, void *b, const char *to) { (void)b; return hdfsRename(a, from, to); }
Info *hdfsGetPathInfo(void *fs, const char *path) {
    (void)fs;
    Info *info = calloc(1, sizeof *info);
    if (!describe(path, at(path), info)) return info;
    free(info);
    return NULL;
}
Info *hdfsListDirectory(void *fs, const char *path, int *count) {
    (void)fs;
    char place[PATH_MAX];
    strcpy(place, at(path));
    DIR *directory = opendir(place);
    *count = 0;
    if (!directory) return NULL;
    Info *infos = NULL;
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char name[2 * PATH_MAX], inner[2 * PATH_MAX];
        int slash = path[strlen(path) - 1] == '/';
        snprintf(name, sizeof name, "%s%s%s", path, slash ? "" : "/", entry->d_name);
        snprintf(inner, sizeof inner, "%s/%s", place, entry->d_name);
        infos = realloc(infos, (*count + 1) * sizeof *infos);
        if (!describe(name, inner, infos + *count)) ++*count;
    }
    closedir(directory);
    errno = 0;
    return infos;
}
void hdfsFreeFileInfo(Info *infos, int count) {
    for (int i = 0; i < count; i++) {
        free(infos[i].name);
        free(infos[i].owner);
        free(infos[i].group);
    }
    free(infos);
}

/* --- What Arrow looks up, and does not use here -------------------------------------------- */
char *hdfsGetWorkingDirectory(void *fs, char *to, size_t size) { (void)fs; snprintf(to, size, "hdfs://name:8020/user/owner"); return to; }
int hdfsSetWorkingDirectory(void *fs, const char *path) { (void)fs; (void)path; return 0; }
int hdfsSetReplication(void *fs, const char *path, int16_t copies) { (void)fs; (void)path; (void)copies; return 0; }
char ***hdfsGetHosts(void *fs, const char *path, int64_t from, int64_t size) { (void)fs; (void)path; (void)from; (void)size; return NULL; }
void hdfsFreeHosts(char ***hosts) { (void)hosts; }
int64_t hdfsGetDefaultBlockSize(void *fs) { (void)fs; return 1 << 27; }
int64_t hdfsGetCapacity(void *fs) { (void)fs; return (int64_t)1 << 40; }
int64_t hdfsGetUsed(void *fs) { (void)fs; return 0; }
int hdfsChown(void *fs, const char *path, const char *owner, const char *group) { (void)fs; (void)path; (void)owner; (void)group; return 0; }
int hdfsChmod(void *fs, const char *path, short mode) { (void)fs; (void)path; (void)mode; return 0; }
int hdfsUtime(void *fs, const char *path, time_t modified, time_t read) { (void)fs; (void)path; (void)modified; (void)read; return 0; }
