namespace Tva.Core.Devices.Rendering;

/// <summary>What the words of the device dialect mean in CUDA C++, as NVRTC compiles it without any header.</summary>
internal static class CudaPrelude
{
    /// <summary>Goes before every source. Products are not fused with sums unless the text says fma (an option of the compiler).</summary>
    public const string Text = """
        typedef unsigned char uchar;
        typedef unsigned short ushort;
        typedef unsigned int uint;
        typedef unsigned long long ulong;
        #define FP64
        #define KERNEL(name, group, groups) extern "C" __global__ __launch_bounds__(group, groups) name
        #define GLOBAL
        #define LOCAL __shared__
        #define CONSTANT __constant__
        #define INLINE static __device__ __forceinline__
        #define RESTRICT __restrict__
        #define GLOBAL_ID (blockIdx.x * blockDim.x + threadIdx.x)
        #define LOCAL_ID threadIdx.x
        #define LOCAL_SIZE blockDim.x
        #define GROUP blockIdx.x
        #define SYNC __syncthreads()
        #define ADD_LOCAL(p, v) atomicAdd(p, v)
        #define ADD_GLOBAL(p, v) atomicAdd(p, v)
        #define MUL_HI(a, b) __umulhi(a, b)
        #define UINT2(a, b) make_uint2(a, b)
        #define UINT4(a, b, c, d) make_uint4(a, b, c, d)
        INLINE float as_float(int bits) { return __int_as_float(bits); }
        INLINE float as_float(uint bits) { return __uint_as_float(bits); }
        INLINE int as_int(float x) { return __float_as_int(x); }
        INLINE int as_int(int x) { return x; }
        INLINE double as_double(long long bits) { return __longlong_as_double(bits); }
        INLINE long long as_long(double x) { return __double_as_longlong(x); }
        INLINE int clz(uint x) { return __clz((int)x); }

        """ + OpenClPrelude.Common;
}
