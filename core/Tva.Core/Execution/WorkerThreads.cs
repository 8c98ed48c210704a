namespace Tva.Core.Execution;

/// <summary>
/// Comes in: work for threads of its own. Goes out: it done, by threads that wait some seconds for the next before they end: starting eight takes a
/// millisecond or two, which is longer than many an expression.
/// </summary>
internal sealed class WorkerThreads
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    // The last to come is the first to go.
    private static readonly List<WorkerThreads> Idle = [];

    private readonly SemaphoreSlim called = new(0);
    private Work? work;

    /// <summary>Begins some work, which must not throw.</summary>
    public static Work Begin(Action action)
    {
        var next = new Work(action);
        WorkerThreads? worker;
        lock (Idle)
        {
            worker = Idle.LastOrDefault();
            if (worker is not null)
            {
                Idle.RemoveAt(Idle.Count - 1);
            }
        }

        if (worker is null)
        {
            worker = new WorkerThreads();
            new Thread(worker.Serve) { IsBackground = true, Name = "tva worker" }.UnsafeStart();
        }

        worker.work = next;
        worker.called.Release();
        return next;
    }

    private void Serve()
    {
        while (true)
        {
            if (!called.Wait(Patience))
            {
                lock (Idle)
                {
                    // Whoever took it from there has called, or is about to.
                    if (Idle.Remove(this))
                    {
                        return;
                    }
                }

                continue;
            }

            var mine = work!;
            work = null;
            mine.Run();
            lock (Idle)
            {
                Idle.Add(this);
            }

            mine.End();
        }
    }

    /// <summary>Some work on its way.</summary>
    public sealed class Work
    {
        private readonly Action action;
        private readonly ManualResetEventSlim ended = new(false);

        internal Work(Action action) => this.action = action;

        /// <summary>Waits for its end.</summary>
        /// <param name="milliseconds">How long, or <see cref="Timeout.Infinite"/>.</param>
        /// <returns>Whether it has ended.</returns>
        public bool Join(int milliseconds) => ended.Wait(milliseconds);

        internal void Run() => action();

        internal void End() => ended.Set();
    }
}
