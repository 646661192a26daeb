#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#include "tests/provider/put_key.h"
#include "tests/provider/token_lab.h"

static CK_SLOT_ID find_slot(CK_FUNCTION_LIST *f)
{
    CK_SLOT_ID slots[8];
    unsigned long count = 8;

    if (f->C_GetSlotList(1, slots, &count) != CKR_OK)
        _exit(2);
    for (unsigned long i = 0; i < count; i++) {
        CK_TOKEN_INFO info;

        if (f->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
            memcmp(info.label, LAB_TOKEN " ", sizeof(LAB_TOKEN)) == 0)
            return slots[i];
    }
    _exit(3);
}

static void create(const char *label, uint8_t d[32], const uint8_t point[65])
{
    static uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    uint8_t wrapped[67] = {0x04, 65}; /* DER OCTET STRING */
    CK_OBJECT_CLASS private_ = CKO_PRIVATE_KEY, public_ = CKO_PUBLIC_KEY;
    CK_KEY_TYPE ec = CKK_EC;
    unsigned char yes = 1, no = 0;
    uint8_t id[] = {(uint8_t)label[0], (uint8_t)label[strlen(label) - 1]};
    CK_ATTRIBUTE private_key[] = {
        {CKA_CLASS, &private_, sizeof(private_)},
        {CKA_KEY_TYPE, &ec, sizeof(ec)},
        {CKA_TOKEN, &yes, 1},
        {CKA_PRIVATE, &yes, 1},
        {CKA_SENSITIVE, &yes, 1},
        {CKA_EXTRACTABLE, &no, 1},
        {CKA_SIGN, &no, 1},
        {CKA_DERIVE, &yes, 1},
        {CKA_EC_PARAMS, p256, sizeof(p256)},
        {CKA_VALUE, d, 32},
        {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
        {CKA_ID, id, sizeof(id)},
    };
    CK_ATTRIBUTE public_key[] = {
        {CKA_CLASS, &public_, sizeof(public_)},
        {CKA_KEY_TYPE, &ec, sizeof(ec)},
        {CKA_TOKEN, &yes, 1},
        {CKA_PRIVATE, &no, 1},
        {CKA_EC_PARAMS, p256, sizeof(p256)},
        {CKA_EC_POINT, wrapped, sizeof(wrapped)},
        {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
        {CKA_ID, id, sizeof(id)},
    };
    void *module = dlopen(LAB_MODULE, RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList list = NULL;
    CK_FUNCTION_LIST *f = NULL;
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE handle = 0;

    memcpy(wrapped + 2, point, 65);
    if (module != NULL)
        *(void **)&list = dlsym(module, "C_GetFunctionList");
    if (list == NULL || list(&f) != CKR_OK || f->C_Initialize(NULL) != CKR_OK)
        _exit(1);
    if (f->C_OpenSession(find_slot(f), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) !=
            CKR_OK ||
        f->C_Login(session, CKU_USER, (CK_UTF8CHAR_PTR)(uintptr_t)LAB_PIN, strlen(LAB_PIN)) !=
            CKR_OK)
        _exit(4);
    if (f->C_CreateObject(session, private_key, sizeof(private_key) / sizeof(*private_key),
                          &handle) != CKR_OK ||
        f->C_CreateObject(session, public_key, sizeof(public_key) / sizeof(*public_key), &handle) !=
            CKR_OK)
        _exit(5);
    f->C_Finalize(NULL);
    _exit(0);
}

const struct published published[PUBLISHED] = {
    {"060e41440a4e35154ca0efcb52412145836ad032833e6bc781e533bf14851085",
     "048c5e20fe31935f6fa682a1f6d46e4468534ffea1a698b14b0b12513eed8deb11"
     "1270fec2427e6a154dfcae3368584396c8251a04e2ae7d87b016ff65d22d6f9e",
     "9169155b08b07674cbadf75fb46a7b0d",
     "a6b7b52554b4203f7e3acfdb3a3ed8674ee086ce5906a7cac2f8a398306d3be9",
     "04f45a99137b1bb2c150d6d8cf7292ca07da68c003daa766a9af7f67f5ee916828"
     "f6a25216f44cb64a96c229ae00b479857b3b81c1319fb2adf0e8db2681769729",
     "a6342013d623ad6c5f6882469673ae33", "80e1d85d30f1bae4ecf1a534a89a0786"},
    {"da5e1d853fcc5d0c162a245b9f29d38eb6059f0db172fb7fda6663b925e8c744",
     "048008b06fc4c9f9856048da186e7dc390963d6a424e80b274fb75d12188d7d73f"
     "2774fb9600f27d7b3bbb2f7fcd8d2c96d4619ef9b4692c6a7c5733b5bac8b27d",
     "687e9757debfd87b0c267330c183c7b6",
     "05bed5f867b89f30fe5552df414b65b9dd4073fc385d14921c641a145aa12051",
     "04f45a99137b1bb2c150d6d8cf7292ca07da68c003daa766a9af7f67f5ee916828"
     "f6a25216f44cb64a96c229ae00b479857b3b81c1319fb2adf0e8db2681769729",
     "1f6346edaeaf57561fc9604febeff44e", "373c0fa7c52a0798ec36eadfe387c3ef"},
};

void lab_put_key(const char *label, const uint8_t d[32], const uint8_t point[65])
{
    uint8_t copy[32];
    int status = 0;
    pid_t child = 0;

    memcpy(copy, d, sizeof(copy));
    child = fork(); /* so that the module is not initialised in this process but by the provider */
    assert_true(child >= 0);
    if (child == 0)
        create(label, copy, point);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
