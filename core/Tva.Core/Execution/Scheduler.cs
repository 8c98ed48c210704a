using System.Runtime.ExceptionServices;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: jobs. Goes out: their blocks to whoever asks, later steps first, while the bytes they share with earlier ones are still in
/// the page cache. A lock per block is no cost: a block takes tens of microseconds.
/// </summary>
internal sealed class Scheduler(Func<Job, long> order, Action<Job> completed)
{
    private readonly object gate = new();
    private readonly PriorityQueue<Job, (int Step, int Kind, long Order)> queue = new();
    private readonly CancellationTokenSource stopping = new();
    private ExceptionDispatchInfo? failure;
    private int outstanding;

    /// <summary>Adds a job that has at least one block.</summary>
    public void Add(Job job)
    {
        lock (gate)
        {
            outstanding++;
            queue.Enqueue(job, (-job.Step, -(int)job.Kind, order(job)));
            Monitor.PulseAll(gate);
        }
    }

    /// <summary>Waits for a block; false when all is done, or something has failed.</summary>
    public bool TryClaim(out Claim claim)
    {
        lock (gate)
        {
            while (failure is null && outstanding > 0)
            {
                if (queue.TryPeek(out var job, out _))
                {
                    claim = new Claim(job, job.Next, Math.Min(job.Unit, job.Total - job.Next));
                    job.Next += claim.Count;
                    if (job.Next == job.Total)
                    {
                        queue.Dequeue();
                    }

                    return true;
                }

                Monitor.Wait(gate);
            }
        }

        claim = default;
        return false;
    }

    /// <summary>Tells that a block is done; the last of a job brings on what follows from it.</summary>
    public void Done(Claim claim)
    {
        if (Interlocked.Decrement(ref claim.Job.Remaining) > 0)
        {
            return;
        }

        completed(claim.Job);
        lock (gate)
        {
            if (--outstanding == 0)
            {
                Monitor.PulseAll(gate);
            }
        }
    }

    /// <summary>Stops everyone at their next block. The first failure is the one that counts.</summary>
    public void Fail(Exception exception)
    {
        lock (gate)
        {
            failure ??= ExceptionDispatchInfo.Capture(exception);
            Monitor.PulseAll(gate);
        }

        stopping.Cancel();
    }

    /// <summary>Cancelled once anyone failed: for what takes long within a block.</summary>
    public CancellationToken Stopping => stopping.Token;

    /// <summary>Whether anyone failed.</summary>
    public bool Failed => Volatile.Read(ref failure) is not null;

    /// <summary>Throws the failure if there was one, as it was thrown.</summary>
    public void ThrowIfFailed() => failure?.Throw();
}
