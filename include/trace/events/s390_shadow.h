/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace events of the shadow of a guest's I/O address space
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM s390_shadow

#if !defined(_TRACE_S390_SHADOW_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_S390_SHADOW_H

#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(s390_shadow_frame,
		    TP_PROTO(u32 fid, u64 iova, u64 pte),
		    TP_ARGS(fid, iova, pte),
		    TP_STRUCT__entry(__field(u32, fid)
				     __field(u64, iova)
				     __field(u64, pte)
				     ),
		    TP_fast_assign(__entry->fid = fid;
				   __entry->iova = iova;
				   __entry->pte = pte;
				   ),
		    TP_printk("fid 0x%08x iova 0x%016llx pte 0x%016llx",
			      __entry->fid, __entry->iova, __entry->pte)
);

/* A frame was mapped; pte: the guest's entry, with combined protection */
DEFINE_EVENT(s390_shadow_frame, s390_shadow_map,
	     TP_PROTO(u32 fid, u64 iova, u64 pte),
	     TP_ARGS(fid, iova, pte)
);

/* A frame was unmapped and is still pinned; pte: the guest's old entry */
DEFINE_EVENT(s390_shadow_frame, s390_shadow_unmap,
	     TP_PROTO(u32 fid, u64 iova, u64 pte),
	     TP_ARGS(fid, iova, pte)
);

/* The host refresh of a batch ended; its pages are unpinned next if rc is 0 */
TRACE_EVENT(s390_shadow_flush,
	    TP_PROTO(u32 fid, u64 first, u64 last, unsigned int pages, int rc),
	    TP_ARGS(fid, first, last, pages, rc),
	    TP_STRUCT__entry(__field(u32, fid)
			     __field(u64, first)
			     __field(u64, last)
			     __field(unsigned int, pages)
			     __field(int, rc)
			     ),
	    TP_fast_assign(__entry->fid = fid;
			   __entry->first = first;
			   __entry->last = last;
			   __entry->pages = pages;
			   __entry->rc = rc;
			   ),
	    TP_printk("fid 0x%08x iova 0x%016llx-0x%016llx pages %u rc %d",
		      __entry->fid, __entry->first, __entry->last,
		      __entry->pages, __entry->rc)
);

/* A refresh failed */
TRACE_EVENT(s390_shadow_refuse,
	    TP_PROTO(u32 fid, u64 iova, int rc),
	    TP_ARGS(fid, iova, rc),
	    TP_STRUCT__entry(__field(u32, fid)
			     __field(u64, iova)
			     __field(int, rc)
			     ),
	    TP_fast_assign(__entry->fid = fid;
			   __entry->iova = iova;
			   __entry->rc = rc;
			   ),
	    TP_printk("fid 0x%08x iova 0x%016llx rc %d",
		      __entry->fid, __entry->iova, __entry->rc)
);

#endif /* _TRACE_S390_SHADOW_H */

#include <trace/define_trace.h>
