// What naga's Metal texts use of metal_stdlib, for clang's CUDA half without a CUDA installation: only to count the
// instructions of kernels; nothing of it ever runs.
#pragma once

#define device
#define constant const
#define thread
#define threadgroup
#define FN __attribute__((__device__, __always_inline__))

typedef unsigned int uint;

#define VECTORS(T) \
    typedef T T##2 __attribute__((ext_vector_type(2))); \
    typedef T T##3 __attribute__((ext_vector_type(3))); \
    typedef T T##4 __attribute__((ext_vector_type(4)));

namespace metal {
using ::uint;
VECTORS(uint)
VECTORS(int)
VECTORS(float)
typedef int bool2 __attribute__((ext_vector_type(2)));
typedef int bool4 __attribute__((ext_vector_type(4)));

struct atomic_uint { uint value; };
struct atomic_int { int value; };
enum { memory_order_relaxed };
enum class mem_flags { mem_threadgroup, mem_device, mem_none };
inline FN void threadgroup_barrier(mem_flags) { __nvvm_bar_sync(0); }
template <class A, class V> FN void atomic_store_explicit(A* a, V v, int) { *(volatile decltype(a->value)*)&a->value = v; }
template <class A> FN auto atomic_load_explicit(A* a, int) { return *(volatile decltype(a->value)*)&a->value; }
inline FN int atomic_fetch_max_explicit(atomic_int* a, int v, int) { return __nvvm_atom_max_gen_i(&a->value, v); }
inline FN uint atomic_fetch_add_explicit(atomic_uint* a, uint v, int) { return __nvvm_atom_add_gen_i((int*)&a->value, v); }

inline FN uint min(uint a, uint b) { return a < b ? a : b; }
inline FN uint max(uint a, uint b) { return a > b ? a : b; }
inline FN int min(int a, int b) { return a < b ? a : b; }
inline FN int max(int a, int b) { return a > b ? a : b; }
inline FN float min(float a, float b) { return __builtin_fminf(a, b); }
inline FN float max(float a, float b) { return __builtin_fmaxf(a, b); }
template <class V, class F> FN V each(V a, V b, F f) {
    V r;
    for (int i = 0; i < (int)(sizeof(V) / sizeof(a[0])); i++) r[i] = f(a[i], b[i]);
    return r;
}
#define MIN_MAX(V) \
    inline FN V min(V a, V b) { return each(a, b, [](auto x, auto y) { return min(x, y); }); } \
    inline FN V max(V a, V b) { return each(a, b, [](auto x, auto y) { return max(x, y); }); }
MIN_MAX(uint2) MIN_MAX(uint4) MIN_MAX(int2) MIN_MAX(int4) MIN_MAX(float4)
template <class T> FN T clamp(T x, T low, T high) { return min(max(x, low), high); }
inline FN float clamp(float x, double low, double high) { return min(max(x, (float)low), (float)high); }
inline FN float4 clamp(float4 x, double low, double high) {
    return min(max(x, (float4)(float)low), (float4)(float)high);
}
inline FN bool any(bool4 v) { return (v.x | v.y | v.z | v.w) != 0; }
template <class T> FN T select(T no, T yes, bool which) { return which ? yes : no; }
template <class T> FN T select(T no, T yes, bool2 which) {
    T r;
    for (int i = 0; i < 2; i++) r[i] = which[i] ? yes[i] : no[i];
    return r;
}
template <class T> FN T select(T no, T yes, bool4 which) {
    T r;
    for (int i = 0; i < 4; i++) r[i] = which[i] ? yes[i] : no[i];
    return r;
}
template <class B> FN bool all(B b) {
    bool r = true;
    for (int i = 0; i < (int)(sizeof(B) / sizeof(b[0])); i++) r = r && b[i];
    return r;
}
inline FN uint clz(uint x) { return x == 0 ? 32 : __builtin_clz(x); }
inline FN uint4 clz(uint4 v) { return {clz(v.x), clz(v.y), clz(v.z), clz(v.w)}; }
} // namespace metal

using metal::uint2;
template <class T, class S> FN T convert(S x) { return __builtin_convertvector(x, T); }

#define MAKE(T) \
    inline FN metal::T##2 make_##T##2(T x) { return {x, x}; } \
    inline FN metal::T##2 make_##T##2(T x, T y) { return {x, y}; } \
    inline FN metal::T##3 make_##T##3(T x, T y, T z) { return {x, y, z}; } \
    inline FN metal::T##4 make_##T##4(T x) { return {x, x, x, x}; } \
    inline FN metal::T##4 make_##T##4(T x, T y, T z, T w) { return {x, y, z, w}; } \
    inline FN metal::T##4 make_##T##4(metal::T##2 a, metal::T##2 b) { return {a.x, a.y, b.x, b.y}; } \
    inline FN metal::T##4 make_##T##4(metal::T##3 a, T w) { return {a.x, a.y, a.z, w}; } \
    inline FN metal::T##4 make_##T##4(metal::T##2 a, T z, T w) { return {a.x, a.y, z, w}; }
MAKE(uint) MAKE(int) MAKE(float)

// Two halves of a word.
struct half2 { uint word; };
inline FN metal::float2 float2(half2 h) {
    float x, y;
    asm("{.reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h;}" : "=f"(x), "=f"(y) : "r"(h.word));
    return {x, y};
}
template <class T> FN T as_type(double x) { return __builtin_bit_cast(T, (float)x); }
template <class T, class S> FN T as_type(S x) { return __builtin_bit_cast(T, x); }
