/*
 * QTest of interpretive execution under TCG: the machine is stopped, reset,
 * migrated and debugged while one of its CPUs runs a guest with SIE
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/sockets.h"
#include "qapi/error.h"
#include "libqtest.h"
#include "qobject/qdict.h"

#define WAIT_SECONDS    60

/*
 * The host: counts how often it has been started, copies the guest to where
 * its storage begins, asks for alerts of what becomes pending for the guest,
 * and enters SIE again and again.  The guest counts, too.
 */
#define HOST            0x1000
#define HOST_SIE        0x1044
#define SIE_BLOCK       0x2000
#define GUEST_CODE      0x3000
#define HOST_CR1        0x3010
#define CHSC_PAGE       0x4000
#define GISA            0x5000
#define GIB             0x5020
#define IMAGE_SIZE      0x6000
#define STARTS          0x80000
#define GUEST_STORAGE   0x100000
#define GUEST_START     0x10000     /* in the storage of the guest */
#define GUEST_END       0x1000e
#define GUEST_COUNTER   0x2000

static const uint8_t host_code[] = {
    0xa7, 0x19, 0x30, 0x00,                 /* lghi   r1,GUEST_CODE */
    0xc0, 0x21, 0x00, 0x08, 0x00, 0x00,     /* lgfi   r2,STARTS */
    0xe3, 0x30, 0x20, 0x00, 0x00, 0x04,     /* lg     r3,0(r2) */
    0xa7, 0x3b, 0x00, 0x01,                 /* aghi   r3,1 */
    0xe3, 0x30, 0x20, 0x00, 0x00, 0x24,     /* stg    r3,0(r2) */
    0xc0, 0x41, 0x00, 0x11, 0x00, 0x00,     /* lgfi   r4,0x110000 */
    0xd2, 0x0f, 0x40, 0x00, 0x10, 0x00,     /* mvc    0(16,r4),0(r1) */
    0xc0, 0x41, 0x00, 0x10, 0x20, 0x00,     /* lgfi   r4,0x102000 */
    0xd7, 0x07, 0x40, 0x00, 0x40, 0x00,     /* xc     0(8,r4),0(r4) */
    0xeb, 0x11, 0x10, 0x10, 0x00, 0x2f,     /* lctlg  c1,c1,16(r1) */
    0xa7, 0x59, 0x40, 0x00,                 /* lghi   r5,CHSC_PAGE */
    0xb2, 0x5f, 0x00, 0x50,                 /* chsc   r5 */
    0xa7, 0xe9, 0x20, 0x00,                 /* lghi   r14,SIE_BLOCK */
    0xb2, 0x14, 0xe0, 0x00,                 /* sie    0(r14) */
    0xa7, 0xf4, 0xff, 0xfe,                 /* j      .-4 */
};

static const uint8_t guest_code[] = {
    0xeb, 0x01, 0x00, 0x00, 0x02, 0x7a,     /* agsi   GUEST_COUNTER,1 */
    0x41, 0x50, 0x50, 0x01,                 /* la     r5,1(r5) */
    0xa7, 0xf4, 0xff, 0xfb,                 /* j      .-10 */
};

static char *write_image(void)
{
    g_autofree uint8_t *image = g_malloc0(IMAGE_SIZE);
    uint8_t *sd = image + SIE_BLOCK;
    char *path = NULL;
    int fd;

    stl_be_p(image, 0x00080000);            /* IPL PSW */
    stl_be_p(image + 4, 0x80000000 | HOST);
    memcpy(image + HOST, host_code, sizeof(host_code));
    memcpy(image + GUEST_CODE, guest_code, sizeof(guest_code));
    stq_be_p(image + HOST_CR1, 0x20);       /* virtual is real */

    stl_be_p(image + CHSC_PAGE, 0x0fe00021); /* set GIB */
    stw_be_p(image + CHSC_PAGE + 4, 1);
    stl_be_p(image + CHSC_PAGE + 20, GIB);
    stl_be_p(image + GISA, GISA);           /* on no list */

    stl_be_p(sd, 0x800);                    /* cpuflags: z/Architecture */
    stq_be_p(sd + 0x28, INT64_MAX);         /* CPU timer */
    stq_be_p(sd + 0x30, UINT64_MAX);        /* clock comparator */
    stl_be_p(sd + 0x4c, 0x00200000);        /* eca: AIV, if there is */
    stw_be_p(sd + 0x52, 0xffff);            /* ihcpu: on no CPU yet */
    stl_be_p(sd + 0x70, GISA | 1);          /* GISA of format 1 */
    stq_be_p(sd + 0x80, GUEST_STORAGE);     /* origin and limit of storage */
    stq_be_p(sd + 0x88, GUEST_STORAGE);
    stq_be_p(sd + 0x90, 0x180000000);       /* PSW: 64-bit mode */
    stq_be_p(sd + 0x98, GUEST_START);
    stq_be_p(sd + 0x100, 0xe0);             /* CR0 */

    fd = g_file_open_tmp("s390-sie-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(qemu_write_full(fd, image, IMAGE_SIZE), ==, IMAGE_SIZE);
    close(fd);
    return path;
}

static QTestState *start(const char *image, const char *options)
{
    return qtest_initf("-accel tcg -cpu max,sie=on -nodefaults -kernel %s %s",
                       image, options);
}

static uint64_t guest_counter(QTestState *qts)
{
    return qtest_readq(qts, GUEST_STORAGE + GUEST_COUNTER);
}

/* Wait until the guest has counted on from @count. */
static void wait_count(QTestState *qts, uint64_t count)
{
    int i;

    for (i = 0; i < WAIT_SECONDS * 100; i++) {
        if (guest_counter(qts) > count) {
            return;
        }
        g_usleep(10 * 1000);
    }
    g_assert_not_reached();
}

static void wait_start(QTestState *qts, uint64_t nr)
{
    int i;

    for (i = 0; i < WAIT_SECONDS * 100; i++) {
        if (qtest_readq(qts, STARTS) == nr) {
            return;
        }
        g_usleep(10 * 1000);
    }
    g_assert_not_reached();
}

static void assert_stands_still(QTestState *qts)
{
    uint64_t count = guest_counter(qts);

    g_usleep(100 * 1000);
    g_assert_cmpuint(guest_counter(qts), ==, count);
}

static bool in_guest(uint64_t addr)
{
    return addr >= GUEST_START && addr < GUEST_END;
}

/* The state description tells where the guest is: the CPU is not in SIE. */
static void assert_has_left(QTestState *qts)
{
    g_autofree char *regs = NULL;

    g_assert_cmpint(qtest_readb(qts, SIE_BLOCK + 0x50), ==, 0);
    g_assert_true(in_guest(qtest_readq(qts, SIE_BLOCK + 0x98)));
    regs = qtest_hmp(qts, "info registers");
    g_assert_nonnull(strstr(regs, "addr 0000000000001044"));
}

static void qmp_ok(QTestState *qts, const char *command)
{
    qtest_qmp_assert_success(qts, "{ 'execute': %s }", command);
}

static void test_stop(void)
{
    g_autofree char *image = write_image();
    QTestState *qts = start(image, "");
    int i;

    wait_count(qts, 0);
    for (i = 0; i < 5; i++) {
        uint64_t count;

        qmp_ok(qts, "stop");
        assert_stands_still(qts);
        assert_has_left(qts);
        count = guest_counter(qts);
        qmp_ok(qts, "cont");
        wait_count(qts, count);
    }
    g_assert_cmpuint(qtest_readq(qts, STARTS), ==, 1);

    qtest_quit(qts);
    unlink(image);
}

static void test_reset(void)
{
    g_autofree char *image = write_image();
    QTestState *qts = start(image, "");
    uint64_t count;

    wait_count(qts, 0);
    /* Running */
    qmp_ok(qts, "system_reset");
    wait_start(qts, 2);
    wait_count(qts, 0);
    qmp_ok(qts, "system_reset");
    wait_start(qts, 3);
    wait_count(qts, 0);
    /* Stopped */
    qmp_ok(qts, "stop");
    count = guest_counter(qts);
    g_assert_cmpuint(count, >, 0);
    qmp_ok(qts, "system_reset");
    qmp_ok(qts, "cont");
    wait_start(qts, 4);
    wait_count(qts, 0);

    /* The state description is that of the image, and has been used since. */
    qmp_ok(qts, "stop");
    assert_has_left(qts);

    qtest_quit(qts);
    unlink(image);
}

static void wait_migration(QTestState *qts)
{
    int i;

    for (i = 0; i < WAIT_SECONDS * 100; i++) {
        QDict *info = qtest_qmp_assert_success_ref(
            qts, "{ 'execute': 'query-migrate' }");
        const char *status = qdict_get_try_str(info, "status");
        bool done = !g_strcmp0(status, "completed");

        g_assert_cmpstr(status, !=, "failed");
        qobject_unref(info);
        if (done) {
            return;
        }
        g_usleep(10 * 1000);
    }
    g_assert_not_reached();
}

static void test_migrate(void)
{
    g_autofree char *image = write_image();
    g_autofree char *stream = g_strconcat(image, ".stream", NULL);
    g_autofree char *uri = g_strconcat("file:", stream, NULL);
    QTestState *qts = start(image, "");
    uint64_t count;

    wait_count(qts, 0);
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate', 'arguments': "
                             "{ 'uri': %s } }", uri);
    wait_migration(qts);
    assert_has_left(qts);
    count = guest_counter(qts);
    qtest_quit(qts);

    qts = start(image, "-incoming defer");
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate-incoming', "
                             "'arguments': { 'uri': %s } }", uri);
    wait_migration(qts);
    wait_count(qts, count);
    g_assert_cmpuint(qtest_readq(qts, STARTS), ==, 1);

    qtest_quit(qts);
    unlink(stream);
    unlink(image);
}

/*
 * An interruption is pending that the guest is not enabled for, and that the
 * host wants to know of.  It will soon; but it has to by the time when the
 * machine stops, as nobody else knows of the alert that is due.
 */
static void assert_alert_at_stop(QTestState *qts)
{
    const uint64_t count = guest_counter(qts);

    g_assert_cmphex(qtest_readl(qts, GIB), ==, 0);
    qtest_writel(qts, GISA, GISA);
    qtest_writel(qts, GISA + 4, 0x20000020);
    wait_count(qts, count);
    g_assert_cmphex(qtest_readl(qts, GIB), ==, 0);
    qmp_ok(qts, "stop");
    g_assert_cmphex(qtest_readl(qts, GIB), ==, GISA);
    g_assert_cmphex(qtest_readl(qts, GISA), ==, 0);
    g_assert_cmphex(qtest_readl(qts, GISA + 4), ==, 0x20000000);
    qtest_writel(qts, GIB, 0);
}

static void test_alert(void)
{
    static const char command[] = "-accel tcg -cpu max,sie=on,sie-zpci=on "
                                  "-nodefaults -kernel %s %s";
    g_autofree char *image = write_image();
    g_autofree char *stream = g_strconcat(image, ".stream", NULL);
    g_autofree char *uri = g_strconcat("file:", stream, NULL);
    QTestState *qts = qtest_initf(command, image, "");

    wait_count(qts, 0);
    assert_alert_at_stop(qts);
    qmp_ok(qts, "cont");
    assert_alert_at_stop(qts);

    /* The machine at the other side knows where the GIB is. */
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate', 'arguments': "
                             "{ 'uri': %s } }", uri);
    wait_migration(qts);
    qtest_quit(qts);
    qts = qtest_initf(command, image, "-incoming defer");
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate-incoming', "
                             "'arguments': { 'uri': %s } }", uri);
    wait_migration(qts);
    qmp_ok(qts, "cont");
    assert_alert_at_stop(qts);
    g_assert_cmpuint(qtest_readq(qts, STARTS), ==, 1);

    /* One that has been reset does so when the host has told it again. */
    qmp_ok(qts, "system_reset");
    qmp_ok(qts, "cont");
    wait_start(qts, 2);
    wait_count(qts, 0);
    assert_alert_at_stop(qts);

    qtest_quit(qts);
    unlink(stream);
    unlink(image);
}

/* The remote protocol of gdb: as much of it as is needed */

static void gdb_send(int fd, const char *packet)
{
    g_autofree char *buf = NULL;
    uint8_t sum = 0;
    const char *p;

    for (p = packet; *p; p++) {
        sum += *p;
    }
    buf = g_strdup_printf("$%s#%02x", packet, sum);
    g_assert_cmpint(qemu_write_full(fd, buf, strlen(buf)), ==, strlen(buf));
}

static char gdb_getc(int fd)
{
    GPollFD pfd = { .fd = fd, .events = G_IO_IN };
    char c;

    g_assert_cmpint(g_poll(&pfd, 1, WAIT_SECONDS * 1000), ==, 1);
    g_assert_cmpint(read(fd, &c, 1), ==, 1);
    return c;
}

static char *gdb_receive(int fd)
{
    GString *packet = g_string_new(NULL);
    char c;

    do {
        c = gdb_getc(fd);
    } while (c == '+');
    g_assert_cmpint(c, ==, '$');
    while ((c = gdb_getc(fd)) != '#') {
        g_string_append_c(packet, c);
    }
    gdb_getc(fd);
    gdb_getc(fd);
    g_assert_cmpint(write(fd, "+", 1), ==, 1);
    return g_string_free(packet, false);
}

static char *gdb_command(int fd, const char *packet)
{
    gdb_send(fd, packet);
    return gdb_receive(fd);
}

/* A command the reply to which begins with @reply */
static void gdb_expect(int fd, const char *packet, const char *reply)
{
    g_autofree char *got = gdb_command(fd, packet);

    g_assert_true(g_str_has_prefix(got, reply));
}

/* Register 0 is the PSW mask, 1 the PSW address, then come the general ones. */
static uint64_t gdb_register(int fd, int nr)
{
    g_autofree char *regs = gdb_command(fd, "g");

    g_assert_cmpint(strlen(regs), >=, 18 * 16);
    regs[(nr + 1) * 16] = 0;
    return g_ascii_strtoull(regs + nr * 16, NULL, 16);
}

static uint64_t gdb_memory(int fd, uint64_t addr)
{
    g_autofree char *packet = g_strdup_printf("m%" PRIx64 ",8", addr);
    g_autofree char *data = gdb_command(fd, packet);

    g_assert_cmpint(strlen(data), ==, 16);
    return g_ascii_strtoull(data, NULL, 16);
}

static void test_gdb(void)
{
    g_autofree char *image = write_image();
    g_autofree char *path = g_strconcat(image, ".gdb", NULL);
    g_autofree char *options = g_strdup_printf(
        "-gdb unix:path=%s,server=on,wait=off", path);
    g_autofree char *stream = g_strconcat(image, ".stream", NULL);
    g_autofree char *uri = g_strconcat("file:", stream, NULL);
    QTestState *qts = start(image, options);
    uint64_t count, reg5;
    QDict *rsp;
    int fd, i;

    wait_count(qts, 0);

    /* The debugger stops the machine as the monitor would: in the host. */
    fd = unix_connect(path, &error_abort);
    gdb_expect(fd, "?", "T05");
    assert_stands_still(qts);
    assert_has_left(qts);
    g_assert_cmphex(gdb_register(fd, 1), ==, HOST_SIE);
    g_assert_cmphex(gdb_register(fd, 2 + 14), ==, SIE_BLOCK);
    g_assert_cmphex(gdb_memory(fd, GUEST_STORAGE + GUEST_START), ==,
                    ldq_be_p(guest_code));

    /* Into the guest, which it sees then, and all around the loop */
    gdb_expect(fd, "s", "T05");
    g_assert_true(in_guest(gdb_register(fd, 1)));
    g_assert_cmphex(gdb_memory(fd, GUEST_START), ==, ldq_be_p(guest_code));
    for (i = 0; gdb_register(fd, 1) != GUEST_START; i++) {
        g_assert_cmpint(i, <, 3);
        gdb_expect(fd, "s", "T05");
    }
    count = gdb_memory(fd, GUEST_COUNTER);
    g_assert_cmpuint(count, ==, guest_counter(qts));
    reg5 = gdb_register(fd, 2 + 5);
    gdb_expect(fd, "s", "T05");
    g_assert_cmphex(gdb_register(fd, 1), ==, GUEST_START + 6);
    g_assert_cmpuint(guest_counter(qts), ==, count + 1);
    gdb_expect(fd, "s", "T05");
    g_assert_cmphex(gdb_register(fd, 1), ==, GUEST_START + 10);
    g_assert_cmpuint(gdb_register(fd, 2 + 5), ==, reg5 + 1);
    gdb_expect(fd, "s", "T05");
    g_assert_cmphex(gdb_register(fd, 1), ==, GUEST_START);

    /* What the debugger looks at can't be migrated. */
    rsp = qtest_qmp(qts, "{ 'execute': 'migrate', 'arguments': "
                    "{ 'uri': %s } }", uri);
    g_assert_true(qdict_haskey(rsp, "error"));
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                          "desc"),
                            "CPU 0 has been stopped by a debugger while it is "
                            "in SIE"));
    qobject_unref(rsp);

    /* A breakpoint in the guest */
    gdb_expect(fd, "Z0,10006,4", "OK");
    for (i = 0; i < 3; i++) {
        gdb_expect(fd, "c", "T05");
        g_assert_cmphex(gdb_register(fd, 1), ==, GUEST_START + 6);
        g_assert_cmpuint(guest_counter(qts), ==, count + 2 + i);
        /* It is in the way of the next command. */
        gdb_expect(fd, "s", "T05");
    }
    gdb_expect(fd, "z0,10006,4", "OK");

    /* A store into a location of the guest */
    gdb_expect(fd, "Z2,2000,8", "OK");
    gdb_expect(fd, "c", "T05");
    g_assert_true(in_guest(gdb_register(fd, 1)));
    g_assert_cmpuint(guest_counter(qts), ==, count + 5);
    gdb_expect(fd, "z2,2000,8", "OK");

    /* The machine goes on, is interrupted, and goes on when gdb leaves. */
    gdb_send(fd, "c");
    wait_count(qts, count + 100);
    g_assert_cmpint(write(fd, "\003", 1), ==, 1);
    g_free(gdb_receive(fd));
    assert_stands_still(qts);
    assert_has_left(qts);
    count = guest_counter(qts);
    gdb_expect(fd, "D", "OK");
    wait_count(qts, count);

    /* Nothing is in the way of migration any more. */
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate', 'arguments': "
                             "{ 'uri': %s } }", uri);
    wait_migration(qts);
    g_assert_cmpuint(qtest_readq(qts, STARTS), ==, 1);

    close(fd);
    qtest_quit(qts);
    unlink(stream);
    unlink(path);
    unlink(image);
}

/* Reset of a machine that the debugger has stopped in the guest */
static void test_gdb_reset(void)
{
    g_autofree char *image = write_image();
    g_autofree char *path = g_strconcat(image, ".gdb", NULL);
    g_autofree char *options = g_strdup_printf(
        "-gdb unix:path=%s,server=on,wait=off", path);
    QTestState *qts = start(image, options);
    int fd;

    wait_count(qts, 0);
    fd = unix_connect(path, &error_abort);
    gdb_expect(fd, "?", "T05");
    gdb_expect(fd, "s", "T05");
    g_assert_true(in_guest(gdb_register(fd, 1)));
    qmp_ok(qts, "system_reset");
    gdb_send(fd, "c");
    wait_start(qts, 2);
    wait_count(qts, 0);

    close(fd);
    qtest_quit(qts);
    unlink(path);
    unlink(image);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    if (!qtest_has_accel("tcg")) {
        g_test_skip("TCG is not available");
        return 0;
    }
    qtest_add_func("/s390-sie/stop", test_stop);
    qtest_add_func("/s390-sie/reset", test_reset);
    qtest_add_func("/s390-sie/migrate", test_migrate);
    qtest_add_func("/s390-sie/alert", test_alert);
    qtest_add_func("/s390-sie/gdb", test_gdb);
    qtest_add_func("/s390-sie/gdb-reset", test_gdb_reset);

    return g_test_run();
}
