/*
 * QTest of a program-new PSW that is not valid under TCG: the interruptions
 * that follow from it never end, and the guest panics
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqtest.h"
#include "qobject/qdict.h"

#define CODE            0x1000
#define IMAGE_SIZE      0x2000

static char *write_image(void)
{
    g_autofree uint8_t *image = g_malloc0(IMAGE_SIZE);
    char *path = NULL;
    int fd;

    stl_be_p(image, 0x00080000);            /* IPL PSW */
    stl_be_p(image + 4, 0x80000000 | CODE);
    stq_be_p(image + 0x1d0, 0x80000000);    /* program new: 31-bit mode */
    stq_be_p(image + 0x1d8, 0x80000000);    /* and an address of 32 bits */
    stw_be_p(image + CODE, 0);              /* no instruction */

    fd = g_file_open_tmp("s390-psw-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(qemu_write_full(fd, image, IMAGE_SIZE), ==, IMAGE_SIZE);
    close(fd);
    return path;
}

static void expect_panic(QTestState *qts)
{
    QDict *event = qtest_qmp_eventwait_ref(qts, "GUEST_PANICKED");
    QDict *info = qdict_get_qdict(qdict_get_qdict(event, "data"), "info");

    g_assert_cmpstr(qdict_get_str(info, "reason"), ==, "pgmint-loop");
    qobject_unref(event);
}

static void test_program_loop(void)
{
    g_autofree char *image = write_image();
    QTestState *qts = qtest_initf("-accel tcg -nodefaults -action panic=none "
                                  "-S -kernel %s", image);

    /* Not before the monitor is there, for it would miss the event. */
    qtest_qmp_assert_success(qts, "{ 'execute': 'cont' }");
    expect_panic(qts);
    /* The machine is there, and does the same once more after a reset. */
    qtest_qmp_assert_success(qts, "{ 'execute': 'system_reset' }");
    expect_panic(qts);
    qtest_quit(qts);
    unlink(image);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (qtest_has_accel("tcg")) {
        qtest_add_func("/s390-psw/program-loop", test_program_loop);
    }
    return g_test_run();
}
