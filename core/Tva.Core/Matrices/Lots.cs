namespace Tva.Core.Matrices;

/// <summary>Numbered pieces of work in, all of them done by at most so many threads; which thread takes which is left to chance.</summary>
internal static class Lots
{
    /// <summary>Runs work(0) to work(count − 1), in no order; the pieces must not touch each other's results.</summary>
    public static void Run(int count, int threads, CancellationToken cancel, Action<int> work)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        if (threads == 1 || count <= 1)
        {
            for (var i = 0; i < count; i++)
            {
                cancel.ThrowIfCancellationRequested();
                work(i);
            }

            return;
        }

        try
        {
            Parallel.For(0, count, new() { MaxDegreeOfParallelism = threads, CancellationToken = cancel }, work);
        }
        catch (AggregateException e) when (e.InnerException is { } first)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(first).Throw();
        }
    }
}
