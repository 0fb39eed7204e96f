// Exceptions in the build with threads. LLVM 14 tells the personality function about a landing pad through the global
// __wasm_lpad_context, which Emscripten 3.1.6 defines as thread-local; the two do not meet, and no typed handler is
// ever found. Here it is the plain global that the compiler writes to. Two threads that catch in the same instant may
// take each other's handlers: the engine throws where memory runs out, and then the page starts it anew.
#if defined(__EMSCRIPTEN_PTHREADS__)

#include <unwind.h>

#include <cstdint>

namespace {

struct LandingPad {
    uintptr_t index;    // written by the compiler
    uintptr_t lsda;     // written by the compiler
    uintptr_t handler;  // read by the compiler
};

LandingPad* landing_pad(_Unwind_Context* context) {
    return reinterpret_cast<LandingPad*>(context);
}

}  // namespace

extern "C" {

LandingPad __wasm_lpad_context;

_Unwind_Reason_Code __gxx_personality_wasm0(int version, _Unwind_Action actions, uint64_t exception_class,
                                            _Unwind_Exception* exception, _Unwind_Context* context);

_Unwind_Reason_Code _Unwind_CallPersonality(void* thrown) {
    _Unwind_Exception* exception = static_cast<_Unwind_Exception*>(thrown);
    __wasm_lpad_context.handler = 0;
    return __gxx_personality_wasm0(1, _UA_CLEANUP_PHASE, exception->exception_class, exception,
                                   reinterpret_cast<_Unwind_Context*>(&__wasm_lpad_context));
}

_Unwind_Reason_Code _Unwind_RaiseException(_Unwind_Exception* exception) {
    __builtin_wasm_throw(0, exception);
}

void _Unwind_DeleteException(_Unwind_Exception* exception) {
    if (exception->exception_cleanup != nullptr) exception->exception_cleanup(_URC_FOREIGN_EXCEPTION_CAUGHT, exception);
}

void _Unwind_SetGR(_Unwind_Context* context, int index, _Unwind_Word value) {
    if (index == 1) landing_pad(context)->handler = value;
}

_Unwind_Word _Unwind_GetIP(_Unwind_Context* context) {
    return landing_pad(context)->index + 2;  // the personality function takes one off, and counts from one
}

void _Unwind_SetIP(_Unwind_Context*, _Unwind_Word) {}

void* _Unwind_GetLanguageSpecificData(_Unwind_Context* context) {
    return reinterpret_cast<void*>(landing_pad(context)->lsda);
}

_Unwind_Ptr _Unwind_GetRegionStart(_Unwind_Context*) {
    return 0;
}

}  // extern "C"

#endif
