namespace Tva.Core.Matrices;
#pragma warning disable CS1591
public static class PolarFactor { public static float[] Of(float[] x,int m,int n,int threads,CancellationToken c)=>throw new NotImplementedException(); }
public static class TsvMerge { public static LowRankFactors Of(int t,Func<int,float[]> f,int m,int n,double keep,int threads,CancellationToken c)=>throw new NotImplementedException(); }
