/* lab_scene.h: a lab in a temporary directory, and devices of it with software keys. */
#ifndef DOT2HSM_TESTS_APPS_LAB_SCENE_H
#define DOT2HSM_TESTS_APPS_LAB_SCENE_H

#include "tests/dot2/fixture.h"

#include <sys/types.h>

#include "protocol/ra/ra.h"

struct scene {
    struct fixture f;
    char top[64]; /* temporary; top/lab is the lab, top/out what a program printed last */
    dot2_cert *root, *ica, *eca, *pca, *rse, *obe;
    EVP_PKEY *rse_key, *obe_key; /* of the enrollment certificates */
    dot2_trust *trust;
    ra_store *store;
    uint32_t now;  /* Time32 */
    unsigned port; /* of the RA, when it runs */
    pid_t ra;      /* 0 = does not run */
};

/* Makes the lab with `dot2hsm lab init`. Aborts the test program when that fails. */
void scene_open(struct scene *scene);
void scene_close(struct scene *scene);
/* Starts dot2hsm-ra of the lab and waits until it listens. scene_close() stops it. */
void scene_start_ra(struct scene *scene);

/* "TOP/lab/NAME" in a buffer that the fourth call after it uses again. */
const char *scene_path(const struct scene *scene, const char *name);
/* A whole file of the lab; octets are from malloc. NULL if there is none. */
uint8_t *scene_read(const struct scene *scene, const char *name, size_t *size);
void scene_write(const struct scene *scene, const char *name, const void *octets, size_t size);
bool scene_has(const struct scene *scene, const char *name);

/* `dot2hsm lab run ARGUMENT... LAB`, arguments separated by blanks; its pid, or its exit status. */
pid_t scene_start(const struct scene *scene, const char *arguments);
int scene_run(const struct scene *scene, const char *arguments);
/* Does the text stand in what the program printed last? */
bool scene_said(const struct scene *scene, const char *text);

/* A file in a zip of the download directory, from malloc; NULL if it is not in it. */
uint8_t *scene_unzip(const struct scene *scene, const char *zip, const char *entry, size_t *size);
/* Entries of a zip; -1 if there is none. */
long scene_zip_count(const struct scene *scene, const char *zip);

/*
 * Puts a signed request into the RA's store as the RA would: under a hash made from number.
 * hash gets its 16 digits.
 */
void scene_accept(const struct scene *scene, const dot2_cert *enrollment, EVP_PKEY *key,
                  enum scms_provision kind, const uint8_t *tbs, size_t tbs_size, unsigned number,
                  char hash[17]);
/* Its state, and detail (128 octets, may be NULL). */
enum ra_request_state scene_state(const struct scene *scene, const char hash[17], char *detail);
/* Is the file this device's, and can no other have it? */
bool scene_is_assigned(const struct scene *scene, const char *file, const dot2_cert *enrollment);

#endif
