/* Downloads that end early, by a cut, by a kill or on purpose, and go on. */
#include "tests/ee/scene.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE 300000u
#define CUT 100000u

static struct scene scene;
static uint8_t *file, *other;

static int open_scene(void **state)
{
    (void)state;
    scene_open(&scene);
    scene_enroll(&scene, NULL, NULL);
    file = lab_octets(SIZE, 1);
    other = lab_octets(SIZE, 2);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_close(&scene);
    free(file);
    free(other);
    return 0;
}

static int forget_part(void **state)
{
    (void)state;
    remove(lab_path("file"));
    remove(lab_path("file.part"));
    remove(lab_path("file.part.validator"));
    return 0;
}

static size_t part_size(void)
{
    size_t size = 0;
    uint8_t *octets = lab_read(lab_path("file.part"), &size);

    if (octets != NULL && size <= SIZE)
        assert_memory_equal(octets, file, size);
    free(octets);
    return size;
}

/* The first half arrives; returns how much of it was kept. */
static size_t cut(const char *etag)
{
    scene_answer(&scene,
                 (struct answer){.file = file, .size = SIZE, .etag = etag, .cut_after = CUT});
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    scene_assert_no_file(&scene);
    return part_size();
}

static void goes_on_after_a_cut(void **state)
{
    size_t kept = cut("\"v1\"");
    const struct asked *asked;
    uint32_t first, second;
    char range[64];

    (void)state;
    assert_int_equal(kept, CUT);
    assert_non_null(strstr(scene.error.detail, "kept"));
    assert_int_equal(scene.result.received, CUT);
    first =
        scene_assert_signed(&scene, https_server_request(scene.server, 0)->download_req, FILE_NAME);
    assert_int_equal(first, scene.result.timestamp);

    sleep(1);
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = "\"v1\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_int_equal(scene.result.resumed_from, CUT);
    assert_int_equal(scene.result.received, SIZE - CUT);
    assert_int_equal(scene.result.size, SIZE);
    scene_assert_file(&scene, file, SIZE);
    asked = https_server_request(scene.server, 0);
    snprintf(range, sizeof(range), "bytes=%u-", CUT);
    assert_string_equal(asked->range, range);
    assert_string_equal(asked->if_range, "\"v1\"");
    second = scene_assert_signed(&scene, asked->download_req, FILE_NAME);
    assert_true(second > first);
}

static void many_cuts(void **state)
{
    unsigned runs = 0;
    enum ee_status status;

    (void)state;
    do {
        scene_answer(&scene, (struct answer){
                                 .file = file, .size = SIZE, .etag = "\"v1\"", .cut_after = 70001});
        status = scene_download(&scene);
        runs++;
    } while (status == EE_E_UNREACHABLE && runs < 20);
    assert_int_equal(status, EE_OK);
    assert_int_equal(runs, 5);
    scene_assert_file(&scene, file, SIZE);
}

static void another_version_starts_anew(void **state)
{
    (void)state;
    assert_int_equal(cut("\"v1\""), CUT);
    scene_answer(&scene, (struct answer){.file = other, .size = SIZE - 5, .etag = "\"v2\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_string_equal(https_server_request(scene.server, 0)->if_range, "\"v1\"");
    assert_int_equal(scene.result.resumed_from, 0);
    assert_int_equal(scene.result.received, SIZE - 5);
    scene_assert_file(&scene, other, SIZE - 5);
}

/* The new version is cut in its turn, and the part is then of the new one. */
static void another_version_that_is_cut(void **state)
{
    (void)state;
    assert_int_equal(cut("\"v1\""), CUT);
    scene_answer(&scene,
                 (struct answer){.file = other, .size = SIZE, .etag = "\"v2\"", .cut_after = 1000});
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    scene_answer(&scene, (struct answer){.file = other, .size = SIZE, .etag = "\"v2\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_int_equal(scene.result.resumed_from, 1000);
    scene_assert_file(&scene, other, SIZE);
}

static void range_that_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(cut("\"v1\""), CUT);
    scene_answer(&scene, (struct answer){
                             .file = file, .size = SIZE, .etag = "\"v1\"", .ignore_range = true});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_int_equal(scene.result.resumed_from, 0);
    scene_assert_file(&scene, file, SIZE);
}

static void partial_answers_that_do_not_fit(void **state)
{
    const struct answer answers[] = {
        {.file = file, .size = SIZE, .etag = "\"v1\"", .range_start_off = 1},
        {.file = file, .size = SIZE, .etag = "\"v1\"", .range_start_off = -1},
        {.file = file, .size = SIZE, .etag = "\"v1\"", .range_start_off = -(int64_t)CUT},
        {.file = file, .size = SIZE, .etag = "\"v1\"", .range_total_off = 1},
        {.file = file, .size = SIZE, .etag = "\"v1\"", .range_total_off = -1},
        {.file = file, .size = SIZE, .etag = "\"v1\"", .range_etag = "\"v2\""},
        {.file = file, .size = SIZE - 1, .etag = "\"v1\""},
        {.raw = "HTTP/1.1 206 x\r\nContent-Length: 4\r\n\r\nabcd"},
        {.raw = "HTTP/1.1 206 x\r\nContent-Range: bytes 299996-299999/300000\r\n"
                "Content-Length: 4\r\n\r\nabcd"},
        {.raw = "HTTP/1.1 206 x\r\nContent-Range: bytes 100000-100003/300000\r\n"
                "Content-Length: 4\r\n\r\nabcd"},
        {.raw = "HTTP/1.1 206 x\r\nContent-Type: multipart/byteranges; boundary=b\r\n"
                "Content-Length: 4\r\n\r\n--b\r"},
        {.raw = "HTTP/1.1 206 x\r\nContent-Range: bytes 100000-299999/300000\r\n"
                "Content-Length: 4\r\n\r\nabcd"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        assert_int_equal(cut("\"v1\""), CUT);
        scene_answer(&scene, answers[i]);
        if (scene_download(&scene) != EE_E_RESPONSE)
            fail_msg("%zu: %s", i, scene.error.detail);
        scene_assert_no_file(&scene);
        /* The next try asks for the whole file, and is well. */
        scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = "\"v1\""});
        assert_int_equal(scene_download(&scene), EE_OK);
        assert_string_equal(https_server_request(scene.server, 0)->range, "");
        scene_assert_file(&scene, file, SIZE);
    }
}

/* The RA's file has become shorter under the same ETag: asked anew, on the same connection. */
static void range_behind_the_end(void **state)
{
    const struct answer answers[] = {
        {.raw = "HTTP/1.1 416 x\r\nContent-Range: bytes */50\r\nETag: \"v1\"\r\n"
                "Content-Length: 0\r\n\r\n",
         .delay_ms = 1100},
        {.file = file, .size = 50, .etag = "\"v1\""},
    };
    uint32_t first, second;

    (void)state;
    assert_int_equal(cut("\"v1\""), CUT);
    https_server_plan(scene.server, answers, 2);
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, 50);
    assert_int_equal(https_server_asked(scene.server), 2);
    assert_string_equal(https_server_request(scene.server, 1)->range, "");
    /* The connection is the same, the signature is not. */
    assert_int_equal(https_server_connections(scene.server), 1);
    assert_int_equal(scene.result.signatures, 2);
    first =
        scene_assert_signed(&scene, https_server_request(scene.server, 0)->download_req, FILE_NAME);
    second =
        scene_assert_signed(&scene, https_server_request(scene.server, 1)->download_req, FILE_NAME);
    assert_true(second > first);
    /* And no third try. */
    assert_int_equal(cut("\"v1\""), CUT);
    scene_answer(&scene, answers[0]);
    assert_int_equal(scene_download(&scene), EE_E_REFUSED);
    assert_int_equal(https_server_asked(scene.server), 2);
}

/*
 * The RA drops the connection between two requests: libcurl makes another one by itself, and that
 * request has a signature of its own.
 */
static void retry_on_a_new_connection(void **state)
{
    const struct answer answers[] = {
        {.raw = "HTTP/1.1 416 x\r\nContent-Range: bytes */50\r\nContent-Length: 0\r\n\r\n",
         .close_after = true,
         .delay_ms = 1100},
        {.file = file, .size = SIZE, .etag = "\"v1\""},
    };

    (void)state;
    assert_int_equal(cut("\"v1\""), CUT);
    https_server_plan(scene.server, answers, 2);
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, SIZE);
    assert_int_equal(https_server_connections(scene.server), 2);
    assert_int_equal(https_server_asked(scene.server), 2);
    assert_true(scene.result.signatures >= 2);
    assert_string_not_equal(https_server_request(scene.server, 0)->download_req,
                            https_server_request(scene.server, 1)->download_req);
    assert_true(scene_assert_signed(&scene, https_server_request(scene.server, 1)->download_req,
                                    FILE_NAME) >
                scene_assert_signed(&scene, https_server_request(scene.server, 0)->download_req,
                                    FILE_NAME));
}

/* Killed after the last octet and before the rename: the last octet is asked for again. */
static void whole_part(void **state)
{
    size_t size = 0;
    uint8_t *validator;

    (void)state;
    assert_int_equal(cut("\"v1\""), CUT);
    validator = lab_read(lab_path("file.part.validator"), &size);
    assert_non_null(validator);
    lab_write(lab_path("file.part"), file, SIZE);
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = "\"v1\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_string_equal(https_server_request(scene.server, 0)->range, "bytes=299999-");
    assert_int_equal(scene.result.received, 1);
    scene_assert_file(&scene, file, SIZE);
    free(validator);
}

/* The length was not known when the part came (chunked), and the part is whole: 416 says so. */
static void whole_part_of_unknown_length(void **state)
{
    (void)state;
    scene_answer(
        &scene,
        (struct answer){
            .file = file, .size = SIZE, .etag = "\"v1\"", .chunked = true, .cut_after = CUT});
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    assert_int_equal(part_size(), CUT);
    lab_write(lab_path("file.part"), file, SIZE);
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = "\"v1\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_string_equal(https_server_request(scene.server, 0)->range, "bytes=300000-");
    assert_int_equal(https_server_asked(scene.server), 1);
    assert_int_equal(scene.result.size, SIZE);
    scene_assert_file(&scene, file, SIZE);
}

static void parts_that_cannot_be_resumed(void **state)
{
    static const char *const etags[] = {NULL, "W/\"weak\"", "unquoted", "\"a b\"", "\"esc\x1b\""};

    (void)state;
    for (size_t i = 0; i < sizeof(etags) / sizeof(etags[0]); i++) {
        assert_int_equal(cut(etags[i]), 0);
        assert_false(lab_exists(lab_path("file.part")));
        scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = etags[i]});
        assert_int_equal(scene_download(&scene), EE_OK);
        assert_string_equal(https_server_request(scene.server, 0)->range, "");
        scene_assert_file(&scene, file, SIZE);
    }
}

static void odd_etags(void **state)
{
    static const char *const etags[] = {"\"\"", "\"a,b;c=%20'\\!#/\"", "\"\xc3\xa4\xff\""};

    (void)state;
    for (size_t i = 0; i < sizeof(etags) / sizeof(etags[0]); i++) {
        assert_int_equal(cut(etags[i]), CUT);
        scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = etags[i]});
        assert_int_equal(scene_download(&scene), EE_OK);
        assert_string_equal(https_server_request(scene.server, 0)->if_range, etags[i]);
        assert_int_equal(scene.result.resumed_from, CUT);
        scene_assert_file(&scene, file, SIZE);
    }
}

/* A part is of one resource of one RA. */
static void part_of_something_else(void **state)
{
    struct ee_download kept = scene.download;
    size_t size = 0;
    uint8_t *validator;

    (void)state;
    assert_int_equal(cut("\"v1\""), CUT);
    scene.download.filename = "0000000000000000.zip";
    scene_answer(&scene, (struct answer){.file = other, .size = SIZE, .etag = "\"v1\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_string_equal(https_server_request(scene.server, 0)->range, "");
    scene_assert_file(&scene, other, SIZE);
    scene.download = kept;

    assert_int_equal(cut("\"v1\""), CUT);
    scene.download.restart = true;
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = "\"v1\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_string_equal(https_server_request(scene.server, 0)->range, "");
    scene_assert_file(&scene, file, SIZE);
    scene.download = kept;

    /* A validator that is cut short or changed is none. */
    assert_int_equal(cut("\"v1\""), CUT);
    validator = lab_read(lab_path("file.part.validator"), &size);
    for (size_t length = 0; length < size; length++) {
        lab_write(lab_path("file.part"), file, CUT);
        lab_write(lab_path("file.part.validator"), validator, length);
        scene.config.ra_url = "https://127.0.0.1:1";
        (void)scene_download(&scene);
        if (lab_exists(lab_path("file.part")) && length + 1 < size)
            fail_msg("%zu octets of a validator are taken for one", length);
        snprintf(scene.url, sizeof(scene.url), "https://127.0.0.1:%u",
                 https_server_port(scene.server));
        scene.config.ra_url = scene.url;
    }
    free(validator);
}

/* After a power failure only what was synced counts. */
static void after_a_power_failure(void **state)
{
    uint8_t *validator;
    size_t size = 0;
    char *boot;

    (void)state;
    assert_int_equal(cut("\"v1\""), CUT);
    validator = lab_read(lab_path("file.part.validator"), &size);
    validator[size] = '\0';
    boot = strstr((char *)validator, "\nboot ");
    assert_non_null(boot);
    boot[6] = boot[6] == '0' ? '1' : '0';
    lab_write(lab_path("file.part.validator"), validator, size);
    /* Octets that were not synced: the file is longer, and they are not what they should be. */
    lab_write(lab_path("file.part"), file, CUT);
    free(validator);
    {
        FILE *part = fopen(lab_path("file.part"), "ab");
        uint8_t zeros[5000] = {0};
        assert_int_equal(fwrite(zeros, 1, sizeof(zeros), part), sizeof(zeros));
        fclose(part);
    }
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = "\"v1\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_int_equal(scene.result.resumed_from, CUT);
    scene_assert_file(&scene, file, SIZE);
}

/* kill -9 somewhere in the middle, many times; then whole, and equal. */
static void killed(void **state)
{
    struct timespec wait = {0, 0};
    unsigned kills = 0, resumed = 0;
    int status;
    pid_t pid;

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        scene_answer(
            &scene,
            (struct answer){.file = file, .size = SIZE, .etag = "\"v1\"", .chunk_delay_ms = 25});
        pid = fork();
        if (pid == 0) {
            (void)scene_download(&scene);
            _exit(0);
        }
        wait.tv_nsec = 20000000 + (long)i * 13000000;
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        kills += WIFSIGNALED(status) ? 1 : 0;
        if (https_server_asked(scene.server) > 0 &&
            https_server_request(scene.server, 0)->range[0] != '\0')
            resumed++;
        if (!lab_exists(lab_path("file")))
            (void)part_size(); /* is a beginning of the file */
    }
    assert_true(kills >= 3);
    assert_true(resumed >= 1);
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = "\"v1\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, SIZE);
}

static bool stop_after_50000(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    (void)total;
    return done < 50000;
}

static void stopped_on_purpose(void **state)
{
    size_t kept;

    (void)state;
    scene.download.progress = stop_after_50000;
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = "\"v1\""});
    assert_int_equal(scene_download(&scene), EE_E_ABORTED);
    scene.download.progress = NULL;
    kept = part_size();
    assert_true(kept >= 50000 && kept < SIZE);
    assert_int_equal(scene.result.received, kept);
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .etag = "\"v1\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_int_equal(scene.result.resumed_from, kept);
    scene_assert_file(&scene, file, SIZE);
}

static void two_at_once(void **state)
{
    int fd = open(lab_path("file.part"), O_RDWR | O_CREAT, 0600);

    (void)state;
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(scene_download(&scene), EE_E_FILE);
    assert_non_null(strstr(scene.error.detail, "another download"));
    assert_true(lab_exists(lab_path("file.part")));
    close(fd);
}

/* A stall keeps what came. */
static void stalled(void **state)
{
    unsigned kept = scene.config.stall_timeout;

    (void)state;
    scene.config.stall_timeout = 2;
    scene_answer(&scene,
                 (struct answer){.file = file, .size = SIZE, .etag = "\"v1\"", .hang_after = CUT});
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    assert_int_equal(part_size(), CUT);
    scene.config.stall_timeout = kept;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, forget_part)
    const struct CMUnitTest tests[] = {
        TEST(goes_on_after_a_cut),
        TEST(many_cuts),
        TEST(another_version_starts_anew),
        TEST(another_version_that_is_cut),
        TEST(range_that_is_ignored),
        TEST(partial_answers_that_do_not_fit),
        TEST(range_behind_the_end),
        TEST(retry_on_a_new_connection),
        TEST(whole_part),
        TEST(whole_part_of_unknown_length),
        TEST(parts_that_cannot_be_resumed),
        TEST(odd_etags),
        TEST(part_of_something_else),
        TEST(after_a_power_failure),
        TEST(killed),
        TEST(stopped_on_purpose),
        TEST(two_at_once),
        TEST(stalled),
    };

    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
