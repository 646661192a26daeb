/* lab_scene.c: see lab_scene.h. */
#include "tests/apps/lab_scene.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <zip.h>

/* ---- files ---- */

const char *scene_path(const struct scene *scene, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/lab/%s", scene->top, name);
    return path;
}

static uint8_t *read_path(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *octets = NULL;
    long end;

    *size = 0;
    if (file == NULL)
        return NULL;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    end = ftell(file);
    assert_true(end >= 0);
    rewind(file);
    octets = malloc((size_t)end + 1);
    assert_non_null(octets);
    *size = fread(octets, 1, (size_t)end, file);
    assert_int_equal(*size, end);
    octets[*size] = '\0';
    fclose(file);
    return octets;
}

uint8_t *scene_read(const struct scene *scene, const char *name, size_t *size)
{
    return read_path(scene_path(scene, name), size);
}

void scene_write(const struct scene *scene, const char *name, const void *octets, size_t size)
{
    FILE *file = fopen(scene_path(scene, name), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(octets, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

bool scene_has(const struct scene *scene, const char *name)
{
    return access(scene_path(scene, name), F_OK) == 0;
}

/* ---- the program ---- */

static pid_t start(const struct scene *scene, const char *command, const char *arguments)
{
    char program[512], out[512], line[256], *argv[16] = {program, (char *)(uintptr_t) "lab"}, *save;
    int argc = 2;
    pid_t pid;

    snprintf(program, sizeof(program), "%s/bin/dot2hsm", getenv("BUILD_DIR"));
    snprintf(out, sizeof(out), "%s/out", scene->top);
    snprintf(line, sizeof(line), "%s %s %s/lab", command, arguments, scene->top);
    for (char *word = strtok_r(line, " ", &save); word != NULL && argc < 15;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
            _exit(126);
        execv(program, argv);
        _exit(127);
    }
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

pid_t scene_start(const struct scene *scene, const char *arguments)
{
    return start(scene, "run", arguments);
}

int scene_run(const struct scene *scene, const char *arguments)
{
    return wait_for(scene_start(scene, arguments));
}

bool scene_said(const struct scene *scene, const char *text)
{
    char path[512];
    size_t size = 0;
    char *said;
    bool is;

    snprintf(path, sizeof(path), "%s/out", scene->top);
    said = (char *)read_path(path, &size);
    is = said != NULL && strstr(said, text) != NULL;
    if (!is)
        fprintf(stderr, "not said: \"%s\", but:\n%s\n", text, said != NULL ? said : "(nothing)");
    free(said);
    return is;
}

/* ---- the lab ---- */

static dot2_cert *read_cert(const struct scene *scene, const char *name)
{
    size_t size = 0;
    uint8_t *octets = scene_read(scene, name, &size);
    dot2_cert *cert = NULL;

    assert_non_null(octets);
    assert_int_equal(dot2_cert_new(scene->f.crypto, octets, size, &cert, NULL), DOT2_OK);
    free(octets);
    return cert;
}

static EVP_PKEY *read_key(const struct scene *scene, const char *name)
{
    BIO *bio = BIO_new_file(scene_path(scene, name), "r");
    EVP_PKEY *key = NULL;

    assert_non_null(bio);
    key = PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, scene->f.libctx, "provider!=dot2hsm");
    assert_non_null(key);
    BIO_free(bio);
    return key;
}

/* A port that nobody has now. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static bool listens(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    close(fd);
    return is;
}

void scene_start_ra(struct scene *scene)
{
    char program[512], log[512];

    snprintf(program, sizeof(program), "%s/bin/dot2hsm-ra", getenv("BUILD_DIR"));
    snprintf(log, sizeof(log), "%s/ra.log", scene->top);
    scene->ra = fork();
    assert_true(scene->ra >= 0);
    if (scene->ra == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
            _exit(126);
        execl(program, program, scene_path(scene, "ra.conf"), (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000 && !listens(scene->port); i++) {
        assert_int_equal(waitpid(scene->ra, NULL, WNOHANG), 0);
        usleep(20000);
    }
    assert_true(listens(scene->port));
}

void scene_open(struct scene *scene)
{
    char text[256] = "", option[32];

    memset(scene, 0, sizeof(*scene));
    fixture_open(&scene->f);
    strcpy(scene->top, "/tmp/dot2hsm-lab-XXXXXX");
    assert_non_null(mkdtemp(scene->top));
    scene->port = free_port();
    snprintf(option, sizeof(option), "--port %u", scene->port);
    if (wait_for(start(scene, "init", option)) != 0)
        assert_true(scene_said(scene, "the lab"));
    scene->root = read_cert(scene, "trust/root.oer");
    scene->ica = read_cert(scene, "trust/ica.oer");
    scene->eca = read_cert(scene, "trust/eca.oer");
    scene->pca = read_cert(scene, "trust/pca.oer");
    scene->rse = read_cert(scene, "rse/enrollment.oer");
    scene->obe = read_cert(scene, "obe/enrollment.oer");
    scene->rse_key = read_key(scene, "rse/enrollment.key");
    scene->obe_key = read_key(scene, "obe/enrollment.key");
    assert_int_equal(dot2_trust_new(scene->f.crypto, NULL, &scene->trust), DOT2_OK);
    assert_int_equal(dot2_trust_add_anchor(scene->trust, scene->root), DOT2_OK);
    assert_int_equal(dot2_trust_add(scene->trust, scene->ica), DOT2_OK);
    assert_int_equal(dot2_trust_add(scene->trust, scene->eca), DOT2_OK);
    assert_int_equal(dot2_trust_add(scene->trust, scene->pca), DOT2_OK);
    assert_int_equal(ra_store_open(scene_path(scene, "ra/store.sqlite"), false, &scene->store, text,
                                   sizeof(text)),
                     RA_STORE_OK);
    assert_int_equal(dot2_time32_now(&scene->now), DOT2_OK);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scene_close(struct scene *scene)
{
    if (scene->ra > 0) {
        kill(scene->ra, SIGTERM);
        assert_int_equal(wait_for(scene->ra), 0);
    }
    ra_store_close(scene->store);
    dot2_trust_free(scene->trust);
    dot2_cert_free(scene->root);
    dot2_cert_free(scene->ica);
    dot2_cert_free(scene->eca);
    dot2_cert_free(scene->pca);
    dot2_cert_free(scene->rse);
    dot2_cert_free(scene->obe);
    EVP_PKEY_free(scene->rse_key);
    EVP_PKEY_free(scene->obe_key);
    nftw(scene->top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    fixture_close(&scene->f);
}

/* ---- zip files ---- */

static zip_t *open_zip(const struct scene *scene, const char *zip)
{
    char name[128];

    snprintf(name, sizeof(name), "ra/download/%s", zip);
    return zip_open(scene_path(scene, name), ZIP_RDONLY | ZIP_CHECKCONS, NULL);
}

uint8_t *scene_unzip(const struct scene *scene, const char *zip, const char *entry, size_t *size)
{
    zip_t *archive = open_zip(scene, zip);
    zip_stat_t status;
    zip_file_t *file = NULL;
    uint8_t *octets = NULL;

    *size = 0;
    if (archive != NULL && zip_stat(archive, entry, 0, &status) == 0)
        file = zip_fopen(archive, entry, 0);
    if (file != NULL) {
        octets = malloc((size_t)status.size + 1);
        assert_non_null(octets);
        *size = (size_t)status.size;
        assert_int_equal(zip_fread(file, octets, status.size), status.size);
        zip_fclose(file);
    }
    if (archive != NULL)
        zip_discard(archive);
    return octets;
}

long scene_zip_count(const struct scene *scene, const char *zip)
{
    zip_t *archive = open_zip(scene, zip);
    long count = archive == NULL ? -1 : (long)zip_get_num_entries(archive, 0);

    if (archive != NULL)
        zip_discard(archive);
    return count;
}

/* ---- the RA's part ---- */

void scene_accept(const struct scene *scene, const dot2_cert *enrollment, EVP_PKEY *key,
                  enum scms_provision kind, const uint8_t *tbs, size_t tbs_size, unsigned number,
                  char hash[17])
{
    const struct ra_request_limits limits = {.retention = 86400};
    struct ra_request request = {.kind = kind};
    enum ra_request_verdict verdict = RA_REQUEST_TOO_MANY;
    uint8_t *octets = NULL;
    uint8_t hashes[2][48] = {{0}};
    size_t count = 0;

    /* Of an explicit certificate the one with n - s: an RA may know a device by either. */
    assert_int_equal(
        dot2_cert_blacklist_hashes(enrollment, hashes, &request.requester_size, &count), DOT2_OK);
    assert_int_equal(RAND_bytes(request.hash, sizeof(request.hash)), 1);
    request.hash[24] = (uint8_t)(0xa0 + number); /* at least one letter among the digits */
    for (size_t i = 0; i < 8; i++)
        snprintf(hash + 2 * i, 3, "%02X", request.hash[24 + i]);
    memcpy(request.requester, hashes[count - 1], request.requester_size);
    assert_int_equal(scms_signed_request_build(scene->f.crypto, key, enrollment, tbs, tbs_size,
                                               &octets, &request.signed_request_size, NULL),
                     DOT2_OK);
    request.signed_request = octets;
    request.certificate = dot2_cert_octets(enrollment, &request.certificate_size);
    assert_int_equal(RAND_bytes(request.verify_key, sizeof(request.verify_key)), 1);
    request.received = dot2_time32_to_unix(scene->now);
    request.download_time = scene->now;
    assert_int_equal(ra_request_accept(scene->store, &request, &limits, &verdict), RA_STORE_OK);
    assert_int_equal(verdict, RA_REQUEST_ACCEPTED);
    OPENSSL_free(octets);
}

struct wanted {
    const char *hash;
    bool found;
    char detail[128];
};

static bool look(void *arg, const struct ra_request *request)
{
    struct wanted *wanted = arg;
    char hash[17];

    for (size_t i = 0; i < 8; i++)
        snprintf(hash + 2 * i, 3, "%02X", request->hash[24 + i]);
    wanted->found = strcmp(hash, wanted->hash) == 0;
    if (wanted->found)
        memcpy(wanted->detail, request->detail, sizeof(wanted->detail));
    return !wanted->found;
}

enum ra_request_state scene_state(const struct scene *scene, const char hash[17], char *detail)
{
    static const enum ra_request_state states[] = {RA_REQUEST_PENDING, RA_REQUEST_READY,
                                                   RA_REQUEST_FAILED};

    for (size_t i = 0; i < 3; i++) {
        struct wanted wanted = {.hash = hash};

        assert_int_equal(ra_request_each(scene->store, states[i], look, &wanted), RA_STORE_OK);
        if (wanted.found && detail != NULL)
            memcpy(detail, wanted.detail, sizeof(wanted.detail));
        if (wanted.found)
            return states[i];
    }
    fail_msg("no request %s", hash);
    return RA_REQUEST_FAILED;
}

bool scene_is_assigned(const struct scene *scene, const char *file, const dot2_cert *enrollment)
{
    uint8_t hashes[2][48] = {{0}};
    size_t size = 0, count = 0;

    assert_int_equal(dot2_cert_blacklist_hashes(enrollment, hashes, &size, &count), DOT2_OK);
    if (ra_file_check(scene->store, file, strlen(file), (const uint8_t(*)[48])hashes, size,
                      count) != RA_STORE_OK)
        return false;
    hashes[0][0] ^= 1;
    hashes[1][0] ^= 1;
    return ra_file_check(scene->store, file, strlen(file), (const uint8_t(*)[48])hashes, size,
                         count) == RA_STORE_EXISTS;
}
