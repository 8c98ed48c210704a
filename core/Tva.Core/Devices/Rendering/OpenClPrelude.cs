namespace Tva.Core.Devices.Rendering;

/// <summary>What the words of the device dialect mean in OpenCL C 1.2, and the few functions that every kernel may call.</summary>
internal static class OpenClPrelude
{
    /// <summary>Goes before every source. Defining FP64 gives sums in float64, else they are pairs of float32 (compensated).</summary>
    public const string Text = """
        #pragma OPENCL FP_CONTRACT OFF
        #ifdef FP64
        #pragma OPENCL EXTENSION cl_khr_fp64 : enable
        #endif
        #define KERNEL(name, group, groups) __kernel __attribute__((reqd_work_group_size(group, 1, 1))) name
        #define GLOBAL __global
        #define LOCAL __local
        #define CONSTANT __constant
        #define INLINE inline static
        #define RESTRICT restrict
        #define GLOBAL_ID ((uint)get_global_id(0))
        #define LOCAL_ID ((uint)get_local_id(0))
        #define LOCAL_SIZE ((uint)get_local_size(0))
        #define GROUP ((uint)get_group_id(0))
        #define SYNC barrier(CLK_LOCAL_MEM_FENCE)
        #define ADD_LOCAL(p, v) atomic_add(p, v)
        #define ADD_GLOBAL(p, v) atomic_add(p, v)
        #define MUL_HI(a, b) mul_hi((uint)(a), (uint)(b))
        #define UINT2(a, b) (uint2)(a, b)
        #define UINT4(a, b, c, d) (uint4)(a, b, c, d)

        """ + Common;

    /// <summary>The part that any C with as_float, as_int, fma and the math functions takes.</summary>
    public const string Common = """
        INLINE float min_ieee(float a, float b)
        {
            if (a != a || b != b) return a + b;
            return a < b ? a : b < a ? b : as_float(as_int(a) | as_int(b));
        }

        INLINE float max_ieee(float a, float b)
        {
            if (a != a || b != b) return a + b;
            return a > b ? a : b > a ? b : as_float(as_int(a) & as_int(b));
        }

        /* A float64's bits to the nearest float32, ties to even: in integers, for devices without float64. */
        INLINE float narrow_f64(ulong x)
        {
            const uint sign = (uint)(x >> 32) & 0x80000000u;
            const int exponent = (int)(x >> 52) & 0x7ff;
            const ulong fraction = x & 0xffffffffffffful;
            if (exponent == 0x7ff)
                return as_float((int)(sign | 0x7f800000u | (fraction != 0 ? 0x400000u : 0u)));
            if (exponent < 1023 - 150)
                return as_float((int)sign);
            const ulong significand = fraction | 0x10000000000000ul;
            const int normal = exponent - 1023 + 127;
            if (normal > 254)
                return as_float((int)(sign | 0x7f800000u));
            const int drop = normal > 0 ? 29 : 30 - normal;
            const ulong kept = significand >> drop;
            const ulong rest = significand & (((ulong)1 << drop) - 1);
            const ulong half_way = (ulong)1 << (drop - 1);
            const uint up = rest > half_way || (rest == half_way && (kept & 1) != 0) ? 1u : 0u;
            const uint bits = normal > 0 ? (((uint)normal - 1) << 23) + (uint)kept + up : (uint)kept + up;
            return as_float((int)(sign | bits));
        }

        INLINE ulong widen_f64(float a)
        {
            const uint bits = (uint)as_int(a);
            const ulong sign = (ulong)(bits & 0x80000000u) << 32;
            const uint magnitude = bits & 0x7fffffffu;
            if (magnitude >= 0x7f800000u)
                return sign | 0x7ff0000000000000ul | ((ulong)(magnitude & 0x7fffffu) << 29);
            if (magnitude == 0)
                return sign;
            if (magnitude < 0x800000u)
            {
                const int shift = (int)clz(magnitude) - 8;
                return sign | ((ulong)(897 - shift) << 52) | (((ulong)(magnitude << shift) & 0x7fffffu) << 29);
            }
            return sign | (((ulong)magnitude << 29) + ((ulong)896 << 52));
        }

        /* Element i of a key's stream: Philox4x32-10 as the class Philox lays it out. */
        INLINE float philox(ulong key, ulong i)
        {
            const ulong counter = (i >> 6) * 16 + (i & 15);
            uint x = (uint)counter, y = (uint)(counter >> 32), z = 0, w = 0;
            uint k0 = (uint)key, k1 = (uint)(key >> 32);
            for (int round = 0; round < 10; round++)
            {
                const uint ah = MUL_HI(0xd2511f53u, x), al = 0xd2511f53u * x;
                const uint bh = MUL_HI(0xcd9e8d57u, z), bl = 0xcd9e8d57u * z;
                x = bh ^ y ^ k0;
                y = bl;
                z = ah ^ w ^ k1;
                w = al;
                k0 += 0x9e3779b9u;
                k1 += 0xbb67ae85u;
            }
            const uint word = (uint)(i >> 4) & 3u;
            const uint chosen = word == 0 ? x : word == 1 ? y : word == 2 ? z : w;
            return (float)(chosen >> 8) * 5.9604644775390625e-8f;
        }

        /* Element i of left·right, in chains of 256 fused steps as the class FactorProduct adds them up. */
        INLINE float product(GLOBAL const float* left, GLOBAL const float* right, uint rank, uint columns, ulong i)
        {
            GLOBAL const float* l = left + (i / columns) * rank;
            GLOBAL const float* r = right + i % columns;
            float total = 0.0f;
            for (uint first = 0; first < rank; first += 256)
            {
                const uint end = rank - first < 256 ? rank : first + 256;
                float sum = 0.0f;
                for (uint k = first; k < end; k++) sum = fma(l[k], r[(ulong)k * columns], sum);
                total = first > 0 ? total + sum : sum;
            }
            return total;
        }

        #ifdef FP64
        typedef double acc_t;
        #define ACC_ZERO 0.0
        #define ACC_OF(x) ((double)(x))
        INLINE acc_t acc_sum(acc_t a, acc_t b) { return a + b; }
        INLINE acc_t acc_add(acc_t s, float x) { return s + (double)x; }
        INLINE acc_t acc_mad(acc_t s, float x, float y) { return fma((double)x, (double)y, s); }
        INLINE acc_t acc_fma(acc_t s, acc_t x, acc_t y) { return fma(x, y, s); }
        INLINE acc_t acc_neg(acc_t a) { return -a; }
        INLINE acc_t acc_max(acc_t a, acc_t b)
        {
            if (a != a || b != b) return a + b;
            return a > b ? a : b > a ? b : as_double(as_long(a) & as_long(b));
        }
        INLINE acc_t acc_count(uint n) { return (double)n; }
        INLINE float acos_wide(float x) { return (float)acos((double)x); }
        INLINE float sin_wide(float x) { return (float)sin((double)x); }
        INLINE float cos_wide(float x) { return (float)cos((double)x); }
        INLINE float pow_wide(float x, float y) { return (float)pow((double)x, (double)y); }
        #else
        /* A sum as x + y with |y| at most half an ulp of x (Dekker, Knuth): some 48 significant bits. */
        typedef float2 acc_t;
        #define ACC_ZERO ((float2)(0.0f, 0.0f))
        #define ACC_OF(x) ((float2)((x), 0.0f))
        INLINE acc_t acc_norm(float s, float e)
        {
            const float t = s + e;
            if (isinf(t) || isnan(t)) return (float2)(t, 0.0f);
            return (float2)(t, e - (t - s));
        }
        INLINE acc_t acc_sum(acc_t a, acc_t b)
        {
            const float s = a.x + b.x;
            const float v = s - a.x;
            const float e = (a.x - (s - v)) + (b.x - v);
            if (isinf(s) || isnan(s)) return (float2)(s, 0.0f);
            return acc_norm(s, e + (a.y + b.y));
        }
        INLINE acc_t acc_add(acc_t s, float x) { return acc_sum(s, (float2)(x, 0.0f)); }
        INLINE acc_t acc_mad(acc_t s, float x, float y)
        {
            const float p = x * y;
            return acc_sum(s, (float2)(p, isinf(p) || isnan(p) ? 0.0f : fma(x, y, -p)));
        }
        INLINE acc_t acc_fma(acc_t s, acc_t x, acc_t y) { return acc_mad(s, x.x, y.x); }
        INLINE acc_t acc_neg(acc_t a) { return -a; }
        INLINE acc_t acc_max(acc_t a, acc_t b) { return (float2)(max_ieee(a.x, b.x), 0.0f); }
        INLINE acc_t acc_count(uint n) { return (float2)((float)(n & 0xfff000u), (float)(n & 0xfffu)); }
        INLINE float acos_wide(float x) { return acos(x); }
        INLINE float sin_wide(float x) { return sin(x); }
        INLINE float cos_wide(float x) { return cos(x); }
        INLINE float pow_wide(float x, float y) { return pow(x, y); }
        #endif


        """;
}
