namespace Tva.Core.Matrices;
#pragma warning disable CS1591
public sealed record LowRankFactors(float[] Left, float[] Right, int Rank, double RelativeError);
public static class TruncatedSvd { public static LowRankFactors ByRank(float[] x,int m,int n,int rank,int threads,CancellationToken c)=>throw new NotImplementedException(); public static LowRankFactors ByEnergy(float[] x,int m,int n,double e,int threads,CancellationToken c)=>throw new NotImplementedException(); }
public static class PolarFactor { public static float[] Of(float[] x,int m,int n,int threads,CancellationToken c)=>throw new NotImplementedException(); }
public static class TsvMerge { public static LowRankFactors Of(int t,Func<int,float[]> f,int m,int n,double keep,int threads,CancellationToken c)=>throw new NotImplementedException(); }
public static class FactorProduct { public static void Range(ReadOnlySpan<float> l, ReadOnlySpan<float> r, int rank, int n, long start, Span<float> d)=>throw new NotImplementedException(); }
