/*
 * Interpretive execution (START INTERPRETIVE EXECUTION, SIE) under TCG
 *
 * Names used here and in sie.c: the "host" is the configuration that QEMU
 * emulates; the "guest" is what the host runs with SIE.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_S390X_TCG_SIE_H
#define TARGET_S390X_TCG_SIE_H

/*
 * The state description, the operand of SIE.  Only the fields that the
 * emulation knows have a name.  All of it is big endian.  The layout, the
 * meaning of the bits and the names are those of struct kvm_s390_sie_block
 * (Linux, arch/s390/include/asm/kvm_host_s390_types.h).
 */
typedef struct S390SieBlock {
    uint32_t cpuflags;                      /* 0x000 */
    uint32_t prefix;                        /* 0x004 */
    uint8_t  pad_0x008[0x028 - 0x008];      /* 0x008 */
    uint64_t cputm;                         /* 0x028 */
    uint64_t ckc;                           /* 0x030 */
    uint64_t epoch;                         /* 0x038 */
    uint32_t svcc;                          /* 0x040 */
    uint16_t lctl;                          /* 0x044 */
    uint16_t icpua;                         /* 0x046 */
    uint32_t ictl;                          /* 0x048 */
    uint32_t eca;                           /* 0x04c */
    uint8_t  icptcode;                      /* 0x050 */
    uint8_t  icptstatus;                    /* 0x051 */
    uint16_t ihcpu;                         /* 0x052 */
    uint8_t  pad_0x054[0x056 - 0x054];      /* 0x054 */
    uint16_t ipa;                           /* 0x056 */
    uint32_t ipb;                           /* 0x058 */
    uint32_t scaoh;                         /* 0x05c */
    uint8_t  pad_0x060;                     /* 0x060 */
    uint8_t  ecb;                           /* 0x061 */
    uint8_t  ecb2;                          /* 0x062 */
    uint8_t  ecb3;                          /* 0x063 */
    uint32_t scaol;                         /* 0x064 */
    uint8_t  pad_0x068[0x06c - 0x068];      /* 0x068 */
    uint32_t todpr;                         /* 0x06c */
    uint32_t gd;                            /* 0x070 */
    uint8_t  pad_0x074[0x080 - 0x074];      /* 0x074 */
    uint64_t mso;                           /* 0x080 */
    uint64_t msl;                           /* 0x088 */
    uint64_t gpsw_mask;                     /* 0x090 */
    uint64_t gpsw_addr;                     /* 0x098 */
    uint64_t gg14;                          /* 0x0a0 */
    uint64_t gg15;                          /* 0x0a8 */
    uint8_t  pad_0x0b0[0x0c0 - 0x0b0];      /* 0x0b0 */
    union {
        struct {
            uint32_t eiparams;              /* 0x0c0 */
            uint16_t extcpuaddr;            /* 0x0c4 */
            uint16_t eic;                   /* 0x0c6 */
        };
        uint64_t pei_dest;                  /* 0x0c0 */
    };
    union {
        struct {
            uint32_t reserved_0x0c8;        /* 0x0c8 */
            uint16_t pgmilc;                /* 0x0cc */
            uint16_t iprcc;                 /* 0x0ce */
        };
        uint64_t pei_src;                   /* 0x0c8 */
    };
    uint32_t dxc;                           /* 0x0d0 */
    uint16_t mcn;                           /* 0x0d4 */
    uint8_t  perc;                          /* 0x0d6 */
    uint8_t  peratmid;                      /* 0x0d7 */
    uint64_t peraddr;                       /* 0x0d8 */
    uint8_t  eai;                           /* 0x0e0 */
    uint8_t  peraid;                        /* 0x0e1 */
    uint8_t  oai;                           /* 0x0e2 */
    uint8_t  armid;                         /* 0x0e3 */
    uint8_t  pad_0x0e4[0x0e8 - 0x0e4];      /* 0x0e4 */
    uint64_t tecmc;                         /* 0x0e8 */
    uint8_t  pad_0x0f0[0x100 - 0x0f0];      /* 0x0f0 */
    uint64_t gcr[16];                       /* 0x100 */
    uint64_t gbea;                          /* 0x180 */
    uint8_t  pad_0x188[0x1a0 - 0x188];      /* 0x188 */
    uint32_t fac;                           /* 0x1a0 */
    uint8_t  pad_0x1a4[0x1c8 - 0x1a4];      /* 0x1a4 */
    uint32_t ecd;                           /* 0x1c8 */
    uint8_t  pad_0x1cc[0x1de - 0x1cc];      /* 0x1cc */
    uint64_t pp;                            /* 0x1de */
    uint8_t  pad_0x1e6[0x1f8 - 0x1e6];      /* 0x1e6 */
    uint64_t gvrd;                          /* 0x1f8 */
} QEMU_PACKED S390SieBlock;
QEMU_BUILD_BUG_ON(sizeof(S390SieBlock) != 512);
QEMU_BUILD_BUG_ON(offsetof(S390SieBlock, tecmc) != 0x0e8);
QEMU_BUILD_BUG_ON(offsetof(S390SieBlock, gvrd) != 0x1f8);

/* cpuflags: state and intervention requests */
#define SIE_CPUSTAT_STOP_INT        0x04000000
#define SIE_CPUSTAT_IO_INT          0x02000000
#define SIE_CPUSTAT_EXT_INT         0x01000000
#define SIE_CPUSTAT_RRF             0x00008000
#define SIE_CPUSTAT_SLSV            0x00004000
#define SIE_CPUSTAT_SLSR            0x00002000
#define SIE_CPUSTAT_ZARCH           0x00000800
#define SIE_CPUSTAT_MCDS            0x00000100
#define SIE_CPUSTAT_SM              0x00000080
#define SIE_CPUSTAT_GED2            0x00000010
#define SIE_CPUSTAT_GED             0x00000004
#define SIE_CPUSTAT_P               0x00000001
#define SIE_CPUSTAT_INTERVENTION    (SIE_CPUSTAT_STOP_INT | \
                                     SIE_CPUSTAT_IO_INT | \
                                     SIE_CPUSTAT_EXT_INT)

/* ictl: interception controls */
#define SIE_ICTL_OPEREXC            0x80000000
#define SIE_ICTL_PINT               0x20000000
#define SIE_ICTL_LPSW               0x00400000
#define SIE_ICTL_STCTL              0x00040000

/* eca, ecb, ecb2, ecb3, ecd: execution controls */
#define SIE_ECA_CEI                 0x80000000
#define SIE_ECA_MVPGI               0x01000000
#define SIE_ECA_AIV                 0x00200000
#define SIE_ECA_VX                  0x00020000
#define SIE_ECA_PROTEXCI            0x00002000
#define SIE_ECB_SPECI               0x08
#define SIE_ECB_HOSTPROTINT         0x02
#define SIE_ECB2_IEP                0x20
#define SIE_ECB2_ESCA               0x04
#define SIE_ECB2_ZPCI_LSI           0x02
#define SIE_ECB3_AISI               0x20
#define SIE_ECB3_AISII              0x10
#define SIE_ECD_HOSTREGMGMT         0x20000000

/* icptcode: why SIE ended */
#define SIE_ICPT_NONE               0x00
#define SIE_ICPT_INST               0x04
#define SIE_ICPT_PROGI              0x08
#define SIE_ICPT_EXTREQ             0x10
#define SIE_ICPT_EXTINT             0x14
#define SIE_ICPT_IOREQ              0x18
#define SIE_ICPT_WAIT               0x1c
#define SIE_ICPT_VALIDITY           0x20
#define SIE_ICPT_STOP               0x28
#define SIE_ICPT_OPEREXC            0x2c
#define SIE_ICPT_PARTEXEC           0x38
/* Internal, nothing that a host gets to see: look at the GISA, see sie_aiv.c */
#define SIE_ICPT_GISA               0xff

/* icptstatus */
#define SIE_ICPTSTATUS_EXECUTE      0x01    /* target of EXECUTE (RL) */
#define SIE_ICPTSTATUS_PER_IFETCH   0x02    /* a PER fetch event applies, too */

/*
 * pei_dest, pei_src: the host's table entry that is in the way of an operand of
 * MOVE PAGE, or would be the next to look at; kvm/s390/gaccess.h
 */
#define SIE_PEI_DAT_PROT            0x2     /* protected by a higher table */
#define SIE_PEI_NOT_PTE             0x4     /* not of a page table */

/*
 * Internal "program interruption code": the access failed in the translation
 * from guest absolute to host storage.  Not a halfword, so that it can never
 * be taken for the code of a program interruption of the guest.
 */
#define SIE_HOST_FAULT              0x10000

/* Guest timing facilities, for S390SieState::timer_events */
#define SIE_TIMER_CKC               0x1
#define SIE_TIMER_CPU               0x2

/*
 * What the entries in the guest's part of the softmmu TLB depend on, apart
 * from the contents of storage.
 */
typedef struct S390SieTlbTag {
    uint64_t sd_addr;
    uint64_t host_asce;
    uint64_t host_cr0;
    uint64_t host_prefix;
    uint64_t mso;
    uint64_t msl;
    uint64_t prefix;
    uint64_t cr0;
    uint64_t cr1;
    uint64_t cr7;
    uint64_t cr13;
    bool edat1;
    bool edat2;
    bool iep;
    bool hostprot;
} S390SieTlbTag;

/*
 * While a CPU is in SIE, the ordinary fields of CPUS390XState hold the guest's
 * state as far as SIE switches it (PSW, control registers, prefix, general
 * registers 14 and 15, breaking-event address, TOD programmable register and
 * program parameter), and the host's is kept here.  The host's clock
 * comparator and CPU timer go on running and stay in CPUS390XState; the
 * guest's are here.
 */
typedef struct S390SieState {
    bool active;
    bool per_enforced;          /* by SIE_CPUSTAT_P */
    bool vx;                    /* guest may use vector instructions */
    uint8_t mmu_base;           /* MMU_SIE_BASE in SIE, else 0 */

    /*
     * Polled at the start of each translation block in SIE, together with
     * sd->cpuflags: set to look for a guest timer interruption.
     */
    uint32_t recheck;
    /* Timing facilities whose condition holds; may lag behind the clock */
    uint32_t timer_events;

    S390SieBlock *sd;           /* mapped state description */
    hwaddr sd_addr;
    uint64_t sca;               /* system control area, found good, or 0 */
    bool ipte_locked;           /* this CPU has the interlock in it */
    uint32_t host_ilen;         /* length of the SIE instruction */
    uint32_t ictl;
    uint32_t lctl;
    uint32_t eca;
    uint32_t fac;
    uint8_t ecb;

    /*
     * Adapter interruptions: sie_aiv.c.  The designation of the GISA is there
     * without AIV, too; while AIV is off the GISA is one without interruptions.
     */
    uint32_t gd;
    uint32_t gisa_origin;       /* with AIV, else 0; other CPUs look at it */
    struct S390Gisa *gisa;      /* mapped */
    uint8_t ecb2;
    uint8_t ecb3;

    uint64_t mso;
    uint64_t msl;               /* the last byte */
    bool edat1;                 /* DAT facilities of the guest */
    bool edat2;
    bool iep;

    uint64_t epoch;             /* guest TOD - host TOD; 0 outside of SIE */
    uint64_t ckc;
    uint64_t cputm_end;         /* host clock (TOD units) at which it is 0 */
    QEMUTimer *ckc_timer;
    QEMUTimer *cputm_timer;

    /* host state that SIE switches */
    PSW host_psw;               /* address of the SIE instruction itself */
    uint64_t host_cregs[16];
    uint64_t host_psa;
    uint64_t host_gbea;
    uint64_t host_pp;
    uint32_t host_todpr;
    uint64_t host_r14;
    uint64_t host_r15;

    /* the interception that EXCP_SIE stands for */
    uint8_t icptcode;

    /* the last access that ended with SIE_HOST_FAULT */
    uint32_t fault_code;
    uint64_t fault_tec;

    /* parameters of a program interruption of the guest */
    uint32_t dxc;
    uint16_t mcn;
    uint64_t moncode;
    uint8_t oai;

    /* where the guest's lowcore is now, for the delivery of an interruption */
    hwaddr lowcore;

    S390SieTlbTag tag;

    VMChangeStateEntry *vmstate;
    Error *blocker;             /* of migration, while a debugger looks on */
} S390SieState;

#endif /* TARGET_S390X_TCG_SIE_H */
