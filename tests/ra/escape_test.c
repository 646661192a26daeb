/*
 * escape_test.c: no request reaches a file outside the download directory, also while somebody
 * exchanges the file, and the directory, for symbolic links as fast as the kernel lets him.
 */
#include "protocol/ra/server_internal.h"
#include "tests/ra/served.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECRET 'S' /* each octet of the files outside; the pattern inside begins otherwise */

struct scene {
    struct served *served;
    char outside[96], moved[96]; /* directories beside the download directory */
    ra_directory *directory;     /* opened, as the server's, before the exchange begins */
    pthread_t thread;
    atomic_bool stop;
    atomic_ulong rounds;
    atomic_bool rest; /* let the file be for up to 3 ms each round */
};

static void path_of(char path[256], const char *directory, const char *name)
{
    snprintf(path, 256, "%s/%s", directory, name);
}

static void write_file(const char *path, bool secret)
{
    uint8_t octets[SIZE];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    for (size_t i = 0; i < SIZE; i++)
        octets[i] = secret ? SECRET : lab_octet(i);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, octets, SIZE), SIZE);
    close(fd);
}

/*
 * Each round NAME is the file, a link to another directory, a link along "..", a link that stays,
 * and the file again; and the path of the directory leads elsewhere for a moment.
 */
static void *exchange(void *arg)
{
    struct scene *scene = arg;
    const char *downloads = scene->served->lab->downloads;
    char name[256], spare[256], absolute[256];
    const char *const targets[] = {absolute, "../outside/" NAME, "inside"};

    path_of(name, downloads, NAME);
    path_of(spare, downloads, "spare");
    path_of(absolute, scene->outside, NAME);
    while (!atomic_load(&scene->stop)) {
        for (size_t i = 0; i < 3; i++) {
            if (symlink(targets[i], spare) != 0 || rename(spare, name) != 0)
                return strerror(errno);
        }
        path_of(absolute, downloads, "inside");
        if (link(absolute, spare) != 0 || rename(spare, name) != 0)
            return strerror(errno);
        path_of(absolute, scene->outside, NAME);
        if (rename(downloads, scene->moved) != 0 || symlink(scene->outside, downloads) != 0 ||
            unlink(downloads) != 0 || rename(scene->moved, downloads) != 0)
            return strerror(errno);
        if (atomic_load(&scene->rest))
            usleep((useconds_t)(atomic_load(&scene->rounds) % 4) * 1000);
        atomic_fetch_add(&scene->rounds, 1);
    }
    return NULL;
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct lab *lab = lab_new();
    char path[256], text[200];

    assert_non_null(scene);
    snprintf(scene->outside, sizeof scene->outside, "%s/outside", lab->dir);
    snprintf(scene->moved, sizeof scene->moved, "%s/moved", lab->dir);
    assert_int_equal(mkdir(scene->outside, 0700), 0);
    path_of(path, scene->outside, NAME);
    write_file(path, true);
    lab_file(lab, NAME, &lab->device, SIZE);
    path_of(path, lab->downloads, "inside");
    write_file(path, false);
    scene->served = served_start(lab, NULL);
    scene->directory = ra_directory_new(lab->downloads, text, sizeof text);
    assert_non_null(scene->directory);
    assert_int_equal(pthread_create(&scene->thread, NULL, exchange, scene), 0);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    struct lab *lab = scene->served->lab;
    void *failure = NULL;

    atomic_store(&scene->stop, true);
    pthread_join(scene->thread, &failure);
    if (failure != NULL)
        fail_msg("the exchange stopped: %s", (char *)failure);
    assert_true(atomic_load(&scene->rounds) > 10);
    ra_directory_free(scene->directory);
    served_stop(scene->served);
    lab_free(lab);
    free(scene);
    return 0;
}

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double duration(void)
{
    const char *full = getenv("DOT2HSM_LONG");

    return full != NULL && *full != '\0' ? 60 : 1.5;
}

/* At the door itself, many thousand times: what is opened is the file inside. */
static void opened(void **state)
{
    struct scene *scene = *state;
    unsigned long files = 0, links = 0, others = 0;
    double end = seconds_now() + duration();

    while (seconds_now() < end || ((files == 0 || links == 0) && seconds_now() < end + 20)) {
        struct ra_file file;
        uint8_t octet;
        int error = ra_directory_open(scene->directory, NAME, &file);

        if (error == ELOOP) {
            links++;
        } else if (error != 0) {
            others++;
        } else {
            assert_int_equal(pread(file.fd, &octet, 1, 0), 1);
            assert_int_equal(octet, lab_octet(0));
            ra_file_close(&file);
            files++;
        }
    }
    assert_int_equal(others, 0);
    /* The race was one. */
    assert_true(files > 0);
    assert_true(links > 0);
}

/*
 * The same over TLS: the file, whole; a refusal; or a connection that is cut, with or without a
 * part of the file, because the file changed under the answer (a link to it counts as a change).
 */
static void served(void **state)
{
    struct scene *scene = *state;
    struct lab *lab = scene->served->lab;
    unsigned long files = 0, refusals = 0;
    double end = seconds_now() + duration();

    atomic_store(&scene->rest, true);
    while (seconds_now() < end || ((files == 0 || refusals == 0) && seconds_now() < end + 20)) {
        struct response response = download(scene->served, APPLICATION, &lab->device, NAME, "");

        if (response.status == 200) {
            assert_pattern(&response, 0, response.size);
            files += response.size == SIZE;
        } else {
            assert_true(response.status == 404 || response.status == 0); /* QA */
            assert_int_equal(response.size, 0);
            refusals += response.status == 404;
        }
        response_clear(&response);
    }
    assert_true(files > 0);
    assert_true(refusals > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opened, setup, teardown),
        cmocka_unit_test_setup_teardown(served, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
