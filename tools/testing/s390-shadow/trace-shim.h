/* SPDX-License-Identifier: GPL-2.0 */
/* Trace events that do nothing */
#ifndef _TRACE_SHIM_H
#define _TRACE_SHIM_H

#define TP_PROTO(args...)		args
#define DECLARE_EVENT_CLASS(args...)
#define DEFINE_EVENT(class, name, proto, args) \
static inline void __maybe_unused trace_##name(proto) \
{ \
} \
static inline bool __maybe_unused trace_##name##_enabled(void) \
{ \
	return false; \
}
#define TRACE_EVENT(name, proto, args...) \
static inline void __maybe_unused trace_##name(proto) \
{ \
} \
static inline bool __maybe_unused trace_##name##_enabled(void) \
{ \
	return false; \
}

#endif /* _TRACE_SHIM_H */
