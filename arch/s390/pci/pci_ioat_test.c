// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the registration of I/O translation tables
 *
 * A model of one function handles the instructions and CLP requests. It can be
 * enabled or disabled, with or without a table, and fails on request. The tests
 * check that a table which the function may still use is not freed. A machine
 * would need a fault to get there.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <asm/clp.h>
#include <asm/pci_clp.h>
#include <asm/pci_insn.h>

#define FH_DISABLED	0x00000042
#define FH_ENABLED	0x80000042
#define FH_OTHER	0x80000043
#define BASE		0x10000000UL
#define LIMIT		0xffffffffffUL
#define IOTA_1		0x12345804UL
#define IOTA_2		0x23456804UL

/**
 * struct model - state of the function in the machine
 * @zdev: the function in the kernel
 * @fh: function handle, enabled or disabled
 * @gone: no handle is valid
 * @registered: a table is registered
 * @iota: I/O translation anchor of the table
 * @gisa: designation when the function was last enabled
 * @reg_status: status of a registration, 0: success
 * @dereg_status: status of a deregistration, 0: success
 * @disable_rc: result of a request to disable the function, 0: success
 * @enable_rc: result of a request to enable the function, 0: success
 * @refresh_rc: result of an RPCIT
 * @refresh_next: expected first I/O address of the next RPCIT
 * @refreshed: number of bytes that RPCITs covered
 */
struct model {
	struct zpci_dev *zdev;
	u32 fh;
	bool gone;
	bool registered;
	u64 iota;
	u32 gisa;
	u8 reg_status;
	u8 dereg_status;
	int disable_rc;
	int enable_rc;
	int refresh_rc;
	u64 refresh_next;
	u64 refreshed;
};

static struct model *model(void)
{
	return kunit_get_current_test()->priv;
}

static u8 model_mod_fc(u64 req, struct zpci_fib *fib, u8 *status)
{
	struct model *m = model();
	u8 fc = req & 0xff;

	*status = 0;
	if (m->gone || req >> 32 != m->fh || m->fh == FH_DISABLED)
		return ZPCI_CC_INVAL_HANDLE;

	switch (fc) {
	case ZPCI_MOD_FC_REG_IOAT:
		*status = m->registered ? ZPCI_MOD_ST_SEQUENCE : m->reg_status;
		if (*status)
			return ZPCI_CC_ERR;
		m->registered = true;
		m->iota = fib->iota;
		break;
	case ZPCI_MOD_FC_DEREG_IOAT:
		*status = m->registered ? m->dereg_status : ZPCI_MOD_ST_SEQUENCE;
		if (*status)
			return ZPCI_CC_ERR;
		m->registered = false;
		break;
	default:
		KUNIT_FAIL(kunit_get_current_test(), "function control %u", fc);
	}
	return ZPCI_CC_OK;
}

/*
 * An interrupt that is handled in the thread of the test, or a flush queue's timer,
 * may unmap memory of a function of the machine.
 */
static int refresh_other(u64 fn, u64 addr, u64 range)
{
	struct kunit *test = current->kunit_test;
	int rc;

	current->kunit_test = NULL;
	rc = zpci_refresh_trans(fn, addr, range);
	current->kunit_test = test;
	return rc;
}

static int model_refresh(u64 fn, u64 addr, u64 range)
{
	struct model *m = model();

	if (fn >> 32 != FH_ENABLED)
		return refresh_other(fn, addr, range);

	KUNIT_EXPECT_TRUE(kunit_get_current_test(), m->registered);
	KUNIT_EXPECT_EQ(kunit_get_current_test(), addr, m->refresh_next);
	m->refresh_next += range;
	m->refreshed += range;
	return m->refresh_rc;
}

static int model_disable(struct zpci_dev *zdev, u32 *fh)
{
	struct model *m = model();

	if (m->disable_rc)
		return m->disable_rc;
	m->fh = FH_DISABLED;
	m->registered = false;
	*fh = m->fh;
	return 0;
}

static int model_enable(struct zpci_dev *zdev, u32 *fh, u8 nr_dma_as)
{
	struct model *m = model();

	if (m->enable_rc)
		return m->enable_rc;
	m->fh = FH_ENABLED;
	m->gisa = zdev->gisa;
	*fh = m->fh;
	return 0;
}

static int model_refresh_fh(u32 fid, u32 *fh)
{
	*fh = model()->fh;
	return 0;
}

static int ioat_test_init(struct kunit *test)
{
	struct model *m;

	m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m);
	test->priv = m;
	m->zdev = kunit_kzalloc(test, sizeof(*m->zdev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->zdev);
	init_rwsem(&m->zdev->ioat_lock);
	mutex_init(&m->zdev->state_lock);
	m->fh = FH_ENABLED;
	m->zdev->fh = FH_ENABLED;
	m->refresh_next = BASE;

	kunit_activate_static_stub(test, zpci_mod_fc, model_mod_fc);
	kunit_activate_static_stub(test, zpci_refresh_trans, model_refresh);
	kunit_activate_static_stub(test, clp_disable_fh, model_disable);
	kunit_activate_static_stub(test, clp_enable_fh, model_enable);
	kunit_activate_static_stub(test, clp_refresh_fh, model_refresh_fh);
	return 0;
}

/* Register a table, replace it, deregister it */
static void set_and_drop(struct kunit *test)
{
	struct model *m = test->priv;

	KUNIT_EXPECT_EQ(test, 0, zpci_set_dma_table(m->zdev, IOTA_1, BASE, LIMIT));
	KUNIT_EXPECT_EQ(test, m->iota, IOTA_1);
	KUNIT_EXPECT_EQ(test, 0, zpci_set_dma_table(m->zdev, IOTA_2, BASE, LIMIT));
	KUNIT_EXPECT_EQ(test, m->iota, IOTA_2);
	KUNIT_EXPECT_TRUE(test, zpci_drop_dma_table(m->zdev));
	KUNIT_EXPECT_FALSE(test, m->registered);

	/* Enabling a function without a table registers none */
	KUNIT_EXPECT_EQ(test, 0, zpci_disable_device(m->zdev));
	KUNIT_EXPECT_EQ(test, 0, zpci_reenable_device(m->zdev));
	KUNIT_EXPECT_FALSE(test, m->registered);
}

/* Register the table of a disabled function when it is enabled */
static void set_later(struct kunit *test)
{
	struct model *m = test->priv;

	KUNIT_EXPECT_EQ(test, 0, zpci_disable_device(m->zdev));
	KUNIT_EXPECT_EQ(test, -ENODEV,
			zpci_set_dma_table(m->zdev, IOTA_1, BASE, LIMIT));
	KUNIT_EXPECT_EQ(test, 0, zpci_reenable_device(m->zdev));
	KUNIT_EXPECT_TRUE(test, m->registered);
	KUNIT_EXPECT_EQ(test, m->iota, IOTA_1);

	/* An I/O translation anchor of zero, identity, is registered, too */
	KUNIT_EXPECT_EQ(test, 0, zpci_set_dma_table(m->zdev, 0, BASE, LIMIT));
	KUNIT_EXPECT_EQ(test, 0, zpci_disable_device(m->zdev));
	KUNIT_EXPECT_EQ(test, 0, zpci_reenable_device(m->zdev));
	KUNIT_EXPECT_TRUE(test, m->registered);
	KUNIT_EXPECT_EQ(test, m->iota, 0);
}

/* Return -ENODEV, which attaching a domain ignores, in error state or if gone */
static void set_unavailable(struct kunit *test)
{
	struct model *m = test->priv;

	m->reg_status = ZPCI_PCI_ST_FUNC_NOT_AVAIL;
	KUNIT_EXPECT_EQ(test, -ENODEV,
			zpci_set_dma_table(m->zdev, IOTA_1, BASE, LIMIT));
	m->reg_status = ZPCI_PCI_ST_INSUF_RES;
	KUNIT_EXPECT_EQ(test, -EIO, zpci_set_dma_table(m->zdev, IOTA_1, BASE, LIMIT));
	m->gone = true;
	KUNIT_EXPECT_EQ(test, -ENODEV,
			zpci_set_dma_table(m->zdev, IOTA_2, BASE, LIMIT));
	KUNIT_EXPECT_TRUE(test, zpci_drop_dma_table(m->zdev));
}

/* If deregistration fails, disable the function: then it has no table */
static void deregister_fails(struct kunit *test)
{
	struct model *m = test->priv;

	KUNIT_EXPECT_EQ(test, 0, zpci_set_dma_table(m->zdev, IOTA_1, BASE, LIMIT));
	m->dereg_status = ZPCI_PCI_ST_INSUF_RES;
	KUNIT_EXPECT_TRUE(test, zpci_drop_dma_table(m->zdev));
	KUNIT_EXPECT_EQ(test, m->fh, FH_DISABLED);
	KUNIT_EXPECT_FALSE(test, m->registered);
}

/* Deregistration succeeds if the function has no table any more */
static void deregister_needless(struct kunit *test)
{
	static const u8 status[] = {
		ZPCI_PCI_ST_FUNC_NOT_AVAIL, ZPCI_PCI_ST_ALREADY_IN_RQ_STATE,
		ZPCI_MOD_ST_SEQUENCE,
	};
	struct model *m = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(status); i++) {
		m->registered = false;
		KUNIT_EXPECT_EQ(test, 0,
				zpci_set_dma_table(m->zdev, IOTA_1, BASE, LIMIT));
		m->dereg_status = status[i];
		KUNIT_EXPECT_TRUE(test, zpci_drop_dma_table(m->zdev));
		KUNIT_EXPECT_EQ(test, m->fh, FH_ENABLED);
	}
}

/* Don't free or replace a table that the function may still use */
static void deregister_and_disable_fail(struct kunit *test)
{
	struct model *m = test->priv;

	KUNIT_EXPECT_EQ(test, 0, zpci_set_dma_table(m->zdev, IOTA_1, BASE, LIMIT));
	m->dereg_status = ZPCI_PCI_ST_INSUF_RES;
	m->disable_rc = CLP_RC_SETPCIFN_ERR;
	KUNIT_EXPECT_EQ(test, -EBUSY, zpci_set_dma_table(m->zdev, IOTA_2, BASE, LIMIT));
	KUNIT_EXPECT_EQ(test, m->iota, IOTA_1);
	KUNIT_EXPECT_FALSE(test, zpci_drop_dma_table(m->zdev));
	/* A second attempt fails, too */
	KUNIT_EXPECT_FALSE(test, zpci_drop_dma_table(m->zdev));

	/* No other table is registered later */
	KUNIT_EXPECT_EQ(test, -EBUSY, zpci_set_dma_table(m->zdev, IOTA_2, BASE, LIMIT));
	KUNIT_EXPECT_EQ(test, m->iota, IOTA_1);

	/* A disabled function has no table */
	m->disable_rc = CLP_RC_SETPCIFN_ALRDY;
	m->fh = FH_DISABLED;
	m->registered = false;
	m->dereg_status = 0;
	m->zdev->ioat_registered = true;
	KUNIT_EXPECT_TRUE(test, zpci_drop_dma_table(m->zdev));
}

/* Refresh the whole range after a reset: a hypervisor may keep a copy of the table */
static void refresh_after_reset(struct kunit *test)
{
	struct model *m = test->priv;

	m->zdev->tlb_refresh = 1;
	KUNIT_EXPECT_EQ(test, 0, zpci_set_dma_table(m->zdev, IOTA_1, BASE, LIMIT));
	KUNIT_EXPECT_EQ(test, m->refreshed, 0);
	KUNIT_EXPECT_EQ(test, 0, zpci_disable_device(m->zdev));
	KUNIT_EXPECT_EQ(test, 0, zpci_reenable_device(m->zdev));
	KUNIT_EXPECT_EQ(test, m->refreshed, LIMIT - BASE + 1);

	/* Ignore a lack of resources: the table is registered */
	m->refresh_next = BASE;
	m->refresh_rc = -ENOMEM;
	KUNIT_EXPECT_EQ(test, 0, zpci_disable_device(m->zdev));
	KUNIT_EXPECT_EQ(test, 0, zpci_reenable_device(m->zdev));
	KUNIT_EXPECT_TRUE(test, m->registered);

	/* Identity has no table, so RPCIT would fail */
	m->refreshed = 0;
	m->refresh_rc = -EIO;
	KUNIT_EXPECT_EQ(test, 0, zpci_set_dma_table(m->zdev, 0, BASE, LIMIT));
	KUNIT_EXPECT_EQ(test, 0, zpci_disable_device(m->zdev));
	KUNIT_EXPECT_EQ(test, 0, zpci_reenable_device(m->zdev));
	KUNIT_EXPECT_EQ(test, m->refreshed, 0);
}

/* Designate a guest: the function is enabled again and keeps its table */
static void designate(struct kunit *test)
{
	struct model *m = test->priv;

	KUNIT_EXPECT_EQ(test, 0, zpci_set_dma_table(m->zdev, IOTA_1, BASE, LIMIT));
	KUNIT_EXPECT_EQ(test, 0, zpci_designate(m->zdev, 0x1000));
	KUNIT_EXPECT_EQ(test, m->gisa, 0x1000);
	KUNIT_EXPECT_TRUE(test, m->registered);

	/* The function was disabled, but its handle is an enabled one */
	m->disable_rc = CLP_RC_SETPCIFN_ALRDY;
	m->registered = false;
	KUNIT_EXPECT_EQ(test, 0, zpci_designate(m->zdev, 0));
	KUNIT_EXPECT_EQ(test, m->gisa, 0);
	KUNIT_EXPECT_TRUE(test, m->registered);
	m->disable_rc = 0;

	/* If the function can't be disabled, the designation does not change */
	m->disable_rc = CLP_RC_SETPCIFN_ERR;
	KUNIT_EXPECT_EQ(test, -EIO, zpci_designate(m->zdev, 0x1000));
	KUNIT_EXPECT_EQ(test, m->zdev->gisa, 0);
	m->disable_rc = 0;

	/* After any other failure the function is disabled */
	m->reg_status = ZPCI_PCI_ST_INSUF_RES;
	KUNIT_EXPECT_EQ(test, -EIO, zpci_designate(m->zdev, 0x1000));
	KUNIT_EXPECT_EQ(test, m->fh, FH_DISABLED);
	KUNIT_EXPECT_FALSE(test, zdev_enabled(m->zdev));
	m->enable_rc = CLP_RC_SETPCIFN_ERR;
	KUNIT_EXPECT_EQ(test, -EIO, zpci_designate(m->zdev, 0x1000));
	KUNIT_EXPECT_FALSE(test, zdev_enabled(m->zdev));
}

/* The model leaves the machine's functions alone */
static void other_function(struct kunit *test)
{
	struct model *m = test->priv;

	if (!zpci_is_enabled())
		kunit_skip(test, "the machine has no PCI");
	/* An invalid handle is condition code 3. */
	KUNIT_EXPECT_EQ(test, -EIO,
			zpci_refresh_trans((u64)FH_OTHER << 32, BASE, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, m->refreshed, 0);
}

static struct kunit_case ioat_test_cases[] = {
	KUNIT_CASE(set_and_drop),
	KUNIT_CASE(set_later),
	KUNIT_CASE(set_unavailable),
	KUNIT_CASE(deregister_fails),
	KUNIT_CASE(deregister_needless),
	KUNIT_CASE(deregister_and_disable_fail),
	KUNIT_CASE(refresh_after_reset),
	KUNIT_CASE(designate),
	KUNIT_CASE(other_function),
	{}
};

static struct kunit_suite ioat_test_suite = {
	.name = "zpci_ioat",
	.init = ioat_test_init,
	.test_cases = ioat_test_cases,
};

kunit_test_suite(ioat_test_suite);

MODULE_DESCRIPTION("KUnit tests for the registration of I/O translation tables");
MODULE_LICENSE("GPL");
