/*
 * QTest of the zpci device: what can be seen and tried without a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qobject/qdict.h"

static void assert_path(QTestState *qts, const char *zpci, const char *path)
{
    QDict *rsp = qtest_qmp(qts, "{ 'execute': 'qom-get', 'arguments': "
                           "{ 'path': %s, 'property': 'ioat-path' } }", zpci);

    g_assert_cmpstr(qdict_get_str(rsp, "return"), ==, path);
    qobject_unref(rsp);
}

static void assert_described(QTestState *qts, const char *text)
{
    QDict *rsp = qtest_qmp(qts, "{ 'execute': 'x-query-zpci' }");
    QDict *ret = qdict_get_qdict(rsp, "return");

    g_assert_nonnull(strstr(qdict_get_str(ret, "human-readable-text"), text));
    qobject_unref(rsp);
}

/* A function of which the guest has not taken notice yet */
static void test_path(void)
{
    QTestState *qts = qtest_init("-nodefaults "
                                 "-device zpci,uid=1,fid=16,target=r0,id=z0 "
                                 "-device virtio-rng-pci,id=r0");

    assert_path(qts, "z0", "none");
    assert_described(qts, "r0: fid=0x00000010 uid=0x0001 ");
    assert_described(qts, " state=disabled interpretation=off ");
    assert_described(qts, " path=none ioat=auto bound=no memory=mapped\n");

    qtest_quit(qts);
}

/* An emulated function can't have what is for passed-through ones. */
static void test_ioat_on(void)
{
    QTestState *qts = qtest_init("-nodefaults "
                                 "-device zpci,target=r0,id=z0,ioat=on");
    QDict *rsp;

    rsp = qtest_qmp(qts, "{ 'execute': 'device_add', 'arguments': "
                    "{ 'driver': 'virtio-rng-pci', 'id': 'r0' } }");
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                          "desc"), "ioat=on"));
    qobject_unref(rsp);
    assert_path(qts, "z0", "none");
    assert_described(qts, " device=none\n");

    /* There is nothing that the guest would have to release. */
    qtest_qmp_device_del(qts, "z0");
    qtest_qmp_device_add(qts, "zpci", "z0", "{ 'target': 'r0' }");
    qtest_qmp_device_add(qts, "virtio-rng-pci", "r0", "{}");
    assert_described(qts, " device=virtio-rng-pci\n");
    qtest_system_reset(qts);

    qtest_quit(qts);
}

/* Nor has it memory that is pinned, whatever kind is asked for. */
static void test_ioat_memory(void)
{
    static const char *const kinds[] = { "on-demand", "pinned" };
    QTestState *qts = qtest_init("-nodefaults");
    QDict *rsp;
    int i;

    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        qtest_qmp_device_add(qts, "zpci", "z0", "{ 'target': 'r0', "
                             "'ioat-memory': %s }", kinds[i]);
        rsp = qtest_qmp(qts, "{ 'execute': 'device_add', 'arguments': "
                        "{ 'driver': 'virtio-rng-pci', 'id': 'r0' } }");
        g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                              "desc"), "ioat-memory"));
        qobject_unref(rsp);

        /* It is too late to change that. */
        rsp = qtest_qmp(qts, "{ 'execute': 'qom-set', 'arguments': "
                        "{ 'path': 'z0', 'property': 'ioat-memory', "
                        "'value': 'auto' } }");
        g_assert(qdict_haskey(rsp, "error"));
        qobject_unref(rsp);
        qtest_qmp_device_del(qts, "z0");
    }

    qtest_qmp_device_add(qts, "zpci", "z0", "{ 'target': 'r0', "
                         "'ioat-memory': 'auto' }");
    qtest_qmp_device_add(qts, "virtio-rng-pci", "r0", "{}");
    assert_described(qts, " memory=mapped\n");

    qtest_quit(qts);
}

/* A machine older than nested translation shows a guest nothing of it. */
static void test_old_machine(void)
{
    static const struct {
        const char *machine;
        bool offered;
    } cases[] = {
        { "s390-ccw-virtio-9.2", false },
        { "s390-ccw-virtio-10.0", true },
    };
    QTestState *qts;
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        qts = qtest_initf("-nodefaults -machine %s "
                          "-device zpci,target=r0,id=z0", cases[i].machine);
        g_assert_cmpint(qtest_qom_get_bool(qts, "z0", "x-ioat-dtsm"), ==,
                        cases[i].offered);
        qtest_quit(qts);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/s390-pci/path", test_path);
    qtest_add_func("/s390-pci/ioat-on", test_ioat_on);
    qtest_add_func("/s390-pci/ioat-memory", test_ioat_memory);
    qtest_add_func("/s390-pci/old-machine", test_old_machine);

    return g_test_run();
}
