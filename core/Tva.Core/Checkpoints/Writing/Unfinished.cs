using System.Security.Cryptography;
using System.Text;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: the files of an output that is being written. Goes out: what an earlier run had already, taken over; and a journal of what
/// is done, kept up on the side for a later run.
/// </summary>
/// <remarks>The order on the disk is: data of a tensor, then its line in the journal; so what the journal names is there, even after a power cut.</remarks>
internal sealed class Unfinished : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly object gate = new();
    private readonly IReadOnlyList<TensorFile> files;
    private readonly WriteOptions options;
    private readonly string shown;
    private readonly string journalPath;
    private readonly string fingerprint;
    private RunJournal? journal;
    private Timer? timer;
    private bool isStarted;
    private bool stopped;

    /// <param name="shown">What is written, for messages.</param>
    /// <param name="target">Its final path.</param>
    /// <param name="files">Its files.</param>
    /// <param name="options">How.</param>
    public Unfinished(string shown, string target, IReadOnlyList<TensorFile> files, WriteOptions options)
    {
        (this.shown, this.files, this.options) = (shown, files, options);
        journalPath = RunJournal.PathOf(target);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in files)
        {
            hash.AppendData(file.Blank);
        }

        hash.AppendData(Encoding.UTF8.GetBytes(options.Inputs));
        fingerprint = Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public int Resumed { get; private set; }

    public int Reused { get; private set; }

    public string? Restarted { get; private set; }

    /// <summary>Opens the journal at once, as the lock of an output that is a folder.</summary>
    public void Lock() => journal ??= new RunJournal(shown, journalPath);

    /// <summary>Whether a stopped run may have left something to go on with.</summary>
    public bool MayResume => options.Resume && options.Plans is not null && File.Exists(journalPath);

    /// <summary>Takes over what a stopped run finished in these very files; false: they have to be begun anew.</summary>
    public bool Resume()
    {
        Lock();
        var (finished, reason) = journal!.Read(fingerprint);
        if (finished is null || !files.All(f => f.IsBegun()))
        {
            Restarted = reason;
            journal.Clear();
            return false;
        }

        foreach (var file in files)
        {
            for (var i = 0; i < file.Tensors.Count; i++)
            {
                if (finished.TryGetValue(file.Tensors[i].Name, out var summary))
                {
                    file.Keep(i, summary);
                    Resumed++;
                }
            }
        }

        isStarted = true;
        return true;
    }

    /// <summary>Forgets what a stopped run has left; before anything of it is overwritten.</summary>
    public void Forget()
    {
        if (journal is null && File.Exists(journalPath))
        {
            Lock();
        }

        journal?.Clear();
    }

    /// <summary>Copies what an earlier output has already.</summary>
    /// <param name="earlier">Its files.</param>
    /// <param name="plan">Plan of a file's tensor.</param>
    public void Reuse(IReadOnlyList<EarlierFile> earlier, Func<int, int, ulong> plan)
    {
        for (var f = 0; f < files.Count; f++)
        {
            for (var i = 0; i < files[f].Tensors.Count; i++)
            {
                if (!files[f].IsKept(i) && earlier.Any(e => e.CopyTo(files[f], i, plan(f, i))))
                {
                    Reused++;
                }
            }
        }
    }

    /// <summary>Begins to keep the journal up.</summary>
    public void Watch()
    {
        if (options.Plans is not null)
        {
            timer = new Timer(_ => Mark(), null, Pause, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Puts down what has been finished since the last time.</summary>
    public void Mark()
    {
        lock (gate)
        {
            if (stopped)
            {
                return;
            }

            var clock = System.Diagnostics.Stopwatch.StartNew();
            try
            {
                var finished = new List<(string, TensorSummary)>();
                foreach (var file in files)
                {
                    if (file.TakeFinished() is { Count: > 0 } some)
                    {
                        file.Sync();
                        finished.AddRange(some);
                    }
                }

                if (finished.Count > 0)
                {
                    Lock();
                    if (!isStarted)
                    {
                        journal!.Start(fingerprint);
                        isStarted = true;
                    }

                    journal!.Append(finished);
                }

                // Of the disk's time the journal takes a tenth at most.
                timer?.Change(Pause + (10 * clock.Elapsed), Timeout.InfiniteTimeSpan);
            }
            catch (Exception e) when (e is FaultException or ObjectDisposedException || FileFaults.Handles(e))
            {
                // Without a journal a later run begins anew, nothing else is lost; what is wrong with the disk shows where data are written.
                stopped = true;
            }
        }
    }

    /// <summary>No more lines: the output is being finished or given up.</summary>
    public void Stop()
    {
        timer?.Dispose();
        lock (gate)
        {
            stopped = true;
        }
    }

    /// <summary>Writes down all that is done and lets go of the journal, for a later run.</summary>
    public void Leave()
    {
        timer?.Dispose();
        Mark();
        Stop();
        journal?.Dispose();
    }

    /// <summary>Lets go of the journal as it is; one with nothing in it goes.</summary>
    public void Close()
    {
        Stop();
        journal?.Close();
    }

    /// <summary>The output has its name, or nothing of it stays.</summary>
    public void Dispose()
    {
        Stop();
        journal?.Discard();
    }
}
