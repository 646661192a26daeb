#include "apps/dot2hsm/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

static void hear(void *arg, const char *text)
{
    struct doctor *doctor = arg;
    size_t used = strlen(doctor->heard);

    snprintf(doctor->heard + used, sizeof(doctor->heard) - used, "%s%s", used > 0 ? "; " : "",
             text);
}

static void finding(struct doctor *doctor, const char *level, const char *id, const char *mend,
                    const char *text)
{
    if (doctor->as_json) {
        json_object(&doctor->json, NULL);
        json_string(&doctor->json, "id", id);
        json_string(&doctor->json, "level", level);
        json_text(&doctor->json, "text", text, strlen(text));
        if (mend != NULL)
            json_text(&doctor->json, "mend", mend, strlen(mend));
        json_end_object(&doctor->json);
    } else {
        printf("%-5s  %s: ", level, id);
        app_print_safe(stdout, text);
        if (mend != NULL) {
            printf("\n         ");
            app_print_safe(stdout, mend);
        }
        putchar('\n');
    }
    doctor->heard[0] = '\0';
    ERR_clear_error();
}

void doctor_begin(struct doctor *doctor)
{
    app_error_sink(hear, doctor);
    if (doctor->as_json) {
        json_init(&doctor->json, stdout);
        json_object(&doctor->json, NULL);
        json_array(&doctor->json, "findings");
    }
}

void doctor_good(struct doctor *doctor, const char *id, const char *format, ...)
{
    char text[3000];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    finding(doctor, "good", id, NULL, text);
}

void doctor_note(struct doctor *doctor, const char *id, const char *mend, const char *format, ...)
{
    char text[3000];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    doctor->notes++;
    finding(doctor, "note", id, mend, text);
}

void doctor_fault(struct doctor *doctor, int code, const char *id, const char *mend,
                  const char *format, ...)
{
    char text[3000];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    doctor->faults++;
    doctor->seen[code] = true;
    finding(doctor, "fault", id, mend, text);
}

int doctor_end(struct doctor *doctor)
{
    int code = doctor->seen[APP_USAGE]         ? APP_USAGE
               : doctor->seen[APP_UNREACHABLE] ? APP_UNREACHABLE
               : doctor->seen[APP_REFUSED]     ? APP_REFUSED
                                               : APP_OK;

    app_error_sink(NULL, NULL);
    if (doctor->as_json) {
        json_end_array(&doctor->json);
        json_uint(&doctor->json, "faults", doctor->faults);
        json_uint(&doctor->json, "notes", doctor->notes);
        json_end_object(&doctor->json);
        json_finish(&doctor->json);
    } else {
        printf("%u fault%s, %u note%s\n", doctor->faults, doctor->faults == 1 ? "" : "s",
               doctor->notes, doctor->notes == 1 ? "" : "s");
    }
    return code;
}

const char *doctor_queue(struct doctor *doctor)
{
    doctor->heard[0] = '\0';
    app_error_openssl("%s", "");
    /* It begins with what stands between an empty text and the first entry. */
    return strncmp(doctor->heard, ": ", 2) == 0 ? doctor->heard + 2 : doctor->heard;
}
