/* test_threads.c: keys that many threads use at a time, from the first use on. */
#include <pthread.h>

#include "tests/provider/token_lab.h"

#define THREADS 8
#define ROUNDS 25

static struct world *world;
static EVP_PKEY *keys[CURVE_COUNT];

static int set_up(void **state)
{
    lab_setup(state);
    world = *state;
    lab_keys(world->libctx, keys);
    return 0;
}

static int tear_down(void **state)
{
    for (size_t i = 0; i < lab_curves(); i++)
        EVP_PKEY_free(keys[i]);
    return lab_teardown(state);
}

struct work {
    pthread_t thread;
    unsigned good;
};

static void *work(void *arg)
{
    struct work *own = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t at = i % lab_curves();
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string("dot2-signer", (void *)lab_signer,
                                                                 sizeof(lab_signer)),
                               OSSL_PARAM_END};
        uint8_t signature[128];
        size_t size = lab_sign(world->libctx, OURS, keys[at], true, signature);

        if (size > 0 &&
            EVP_DigestVerifyInit_ex(ctx, NULL, NULL, world->libctx, OURS, keys[at], params) == 1 &&
            EVP_DigestVerify(ctx, signature, size, lab_data, sizeof(lab_data)) == 1)
            own->good++;
        EVP_MD_CTX_free(ctx);
    }
    return NULL;
}

static void eight_threads_share_the_keys(void **state)
{
    struct work works[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++) {
        works[i].good = 0;
        assert_int_equal(pthread_create(&works[i].thread, NULL, work, &works[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(works[i].thread, NULL), 0);
        assert_int_equal(works[i].good, ROUNDS);
    }
}

/* The public half is made when it is first asked for, here by all at the same moment. */
struct asking {
    EVP_PKEY *key;
    pthread_barrier_t *begin;
    pthread_t thread;
    uint8_t point[2 * 48 + 1];
    size_t size;
};

static void *ask(void *arg)
{
    struct asking *own = arg;

    pthread_barrier_wait(own->begin);
    if (EVP_PKEY_get_octet_string_param(own->key, "pub", own->point, sizeof(own->point),
                                        &own->size) != 1)
        own->size = 0;
    return NULL;
}

static void threads_ask_for_a_public_half_at_once(void **state)
{
    struct asking all[THREADS];
    pthread_barrier_t begin;
    uint8_t point[2 * 48 + 1];
    size_t size = 0;

    (void)state;
    assert_int_equal(EVP_PKEY_get_octet_string_param(keys[0], "pub", point, sizeof(point), &size),
                     1);
    pthread_barrier_init(&begin, NULL, THREADS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        EVP_PKEY *key = lab_load(world->libctx, lab_uri(curve_names[0]), OSSL_STORE_INFO_PKEY);

        assert_non_null(key);
        for (size_t i = 0; i < THREADS; i++) {
            all[i] = (struct asking){.key = key, .begin = &begin};
            assert_int_equal(pthread_create(&all[i].thread, NULL, ask, &all[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(all[i].thread, NULL), 0);
            assert_int_equal(all[i].size, size);
            assert_memory_equal(all[i].point, point, size);
        }
        EVP_PKEY_free(key);
    }
    pthread_barrier_destroy(&begin);
}

struct verifying {
    EVP_PKEY *public;
    const uint8_t *signature;
    size_t size;
    size_t good;
    pthread_t thread;
};

/* One key for all, which nobody has used yet: whatever it caches, it caches under their eyes. */
static void *verify(void *arg)
{
    struct verifying *own = arg;

    for (int i = 0; i < ROUNDS; i++) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY *key = i % 2 == 0 ? own->public : keys[0];
        uint8_t changed[sizeof(lab_data)];

        memcpy(changed, lab_data, sizeof(lab_data));
        changed[i % (int)sizeof(lab_data)] ^= 1;
        if (EVP_DigestVerifyInit_ex(ctx, NULL, NULL, world->libctx, "?" OURS, key, NULL) == 1 &&
            EVP_DigestVerify(ctx, own->signature, own->size, lab_data, sizeof(lab_data)) == 1 &&
            EVP_DigestVerifyInit_ex(ctx, NULL, NULL, world->libctx, "?" OURS, key, NULL) == 1 &&
            EVP_DigestVerify(ctx, own->signature, own->size, changed, sizeof(changed)) != 1 &&
            ERR_peek_error() != 0)
            own->good++;
        ERR_clear_error();
        EVP_MD_CTX_free(ctx);
    }
    return NULL;
}

static void threads_verify_with_one_key(void **state)
{
    struct verifying works[THREADS];
    uint8_t signature[128];
    size_t size = lab_sign(world->libctx, OURS, keys[0], false, signature);
    EVP_PKEY *public = public_copy(world->libctx, keys[0]);

    (void)state;
    assert_true(size > 0);
    for (size_t i = 0; i < THREADS; i++) {
        works[i] = (struct verifying){public, signature, size, 0, 0};
        assert_int_equal(pthread_create(&works[i].thread, NULL, verify, &works[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(works[i].thread, NULL), 0);
        assert_int_equal(works[i].good, ROUNDS);
    }
    EVP_PKEY_free(public);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_verify_with_one_key), /* the first, of keys that are new */
        cmocka_unit_test(eight_threads_share_the_keys),
        cmocka_unit_test(threads_ask_for_a_public_half_at_once),
    };

    return cmocka_run_group_tests_name("provider/threads", tests, set_up, tear_down);
}
