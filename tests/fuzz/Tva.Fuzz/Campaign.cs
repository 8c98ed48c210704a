using System.Diagnostics;
using System.Text.RegularExpressions;
using Tva.Core;

namespace Tva.Fuzz;

/// <summary>Something that must not be: what came of the input of that number.</summary>
public sealed record Finding(string Format, long Number, string What, string Details);

/// <summary>What a campaign saw.</summary>
/// <param name="Inputs">How many inputs were run.</param>
/// <param name="Accepted">How many were taken as good.</param>
/// <param name="Refusals">In how many different ways the others were refused.</param>
/// <param name="Longest">What the slowest took.</param>
/// <param name="MostBytes">What the greediest allocated.</param>
/// <param name="Elapsed">In all.</param>
/// <param name="Findings">What must not be: at most one of each place and kind.</param>
public sealed record Report(long Inputs, long Accepted, int Refusals, TimeSpan Longest, long MostBytes, TimeSpan Elapsed, IReadOnlyList<Finding> Findings);

/// <summary>
/// Comes in: a format, a seed and numbers of inputs. Goes out: what must not be: any exception but a fault, an input that takes more than two
/// seconds, or one that makes us allocate far more than it has bytes.
/// </summary>
public static partial class Campaign
{
    private const long AllocatedBytes = 32 << 20;
    private const long AllocatedPerByte = 600;
    private static readonly TimeSpan Slow = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(60);

    /// <summary>The formats, and what takes each.</summary>
    public static IReadOnlyDictionary<string, Func<string, Target>> Formats { get; } = new Dictionary<string, Func<string, Target>>
    {
        ["safetensors"] = folder => new SafetensorsTarget(folder),
        ["zip"] = folder => new ZipTarget(folder),
        ["pickle"] = folder => new PickleTarget(folder),
        ["legacy"] = folder => new LegacyTarget(folder),
        ["gguf"] = folder => new GgufTarget(folder),
        ["index"] = folder => new IndexTarget(folder),
        ["config"] = folder => new ConfigTarget(folder),
        ["adapter"] = folder => new AdapterTarget(folder),
        ["adapter-header"] = folder => new AdapterHeaderTarget(folder),
        ["basis"] = folder => new BasisTarget(folder),
        ["tokenizer"] = folder => new TokenizerTarget(folder),
        ["script"] = folder => new ScriptTarget(folder),
    };

    /// <summary>The input of a number.</summary>
    public static byte[] Input(Target target, int seed, long number) => target.Make(new Random(HashCode(seed, number)));

    /// <summary>Runs inputs on all cores.</summary>
    /// <param name="format">One of <see cref="Formats"/>.</param>
    /// <param name="seed">Another one makes other inputs.</param>
    /// <param name="from">The first number.</param>
    /// <param name="count">How many.</param>
    /// <param name="threads">How many workers.</param>
    /// <param name="progress">Is told of inputs run, now and then.</param>
    public static Report Run(string format, int seed, long from, long count, int threads, Action<long>? progress = null)
    {
        // In memory, where there is such a place: files are written by the million.
        var root = Directory.CreateDirectory(Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"tva-fuzz-{Guid.NewGuid():N}"));
        try
        {
            var workers = Enumerable.Range(0, threads).Select(i => new Worker(format, seed, Directory.CreateDirectory(Path.Combine(root.FullName, $"{i}")).FullName)).ToArray();
            long next = from, end = from + count;
            var watch = Stopwatch.StartNew();
            using var done = new CancellationTokenSource();
            var watchman = new Thread(() => Watch(workers, done.Token)) { IsBackground = true };
            watchman.Start();
            var running = workers.Select(worker => new Thread(() =>
            {
                const int piece = 256;
                long at;
                while ((at = Interlocked.Add(ref next, piece) - piece) < end)
                {
                    for (long number = at; number < Math.Min(at + piece, end); number++)
                    {
                        worker.Do(number);
                    }

                    progress?.Invoke(Math.Min(at + piece, end) - from);
                }
            }, maxStackSize: 16 << 20)).ToArray();
            Array.ForEach(running, thread => thread.Start());
            Array.ForEach(running, thread => thread.Join());
            done.Cancel();
            return new Report(count, workers.Sum(w => w.Accepted), workers.SelectMany(w => w.Refusals).Distinct().Count(), workers.Max(w => w.Longest),
                workers.Max(w => w.MostBytes), watch.Elapsed, [.. workers.SelectMany(w => w.Findings.Values).DistinctBy(f => f.What)]);
        }
        finally
        {
            root.Delete(recursive: true);
        }
    }

    /// <summary>An exception that must not be, by kind and place.</summary>
    internal static string Place(Exception e)
    {
        var frame = e.StackTrace?.Split('\n').FirstOrDefault(line => line.Contains(" Tva.", StringComparison.Ordinal) && !line.Contains("Tva.Fuzz.", StringComparison.Ordinal));
        return $"{e.GetType().Name} {(frame ?? e.StackTrace?.Split('\n').FirstOrDefault() ?? "").Trim()}";
    }

    private static int HashCode(int seed, long number)
    {
        // SplitMix64, so that neighbours have nothing in common.
        ulong z = unchecked(((ulong)number + ((ulong)(uint)seed << 40)) * 0x9E3779B97F4A7C15UL);
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL);
        return unchecked((int)((z ^ (z >> 27)) * 0x94D049BB133111EBUL >> 33));
    }

    private static void Watch(Worker[] workers, CancellationToken done)
    {
        while (!done.WaitHandle.WaitOne(TimeSpan.FromSeconds(1)))
        {
            foreach (var worker in workers)
            {
                var (number, since) = worker.Now;
                if (since != 0 && Stopwatch.GetElapsedTime(since) > Hang)
                {
                    Console.Error.WriteLine($"{worker.Format} {number}: hangs for more than {Hang.TotalSeconds} s");
                    Environment.Exit(3);
                }
            }
        }
    }

    [GeneratedRegex("'[^']*'|[0-9]+")]
    private static partial Regex Details { get; }

    private sealed class Worker(string format, int seed, string folder)
    {
        private readonly Target target = Formats[format](folder);
        private long number;
        private long since;

        public string Format => format;

        public long Accepted { get; private set; }

        public HashSet<string> Refusals { get; } = [];

        public TimeSpan Longest { get; private set; }

        public long MostBytes { get; private set; }

        public Dictionary<string, Finding> Findings { get; } = [];

        public (long Number, long Since) Now => (Volatile.Read(ref number), Volatile.Read(ref since));

        public void Do(long which)
        {
            var input = Input(target, seed, which);
            Volatile.Write(ref number, which);
            var (elapsed, bytes) = Once(input, which);

            // The first time compiles; and what is slow on a busy machine is run again.
            for (int i = 0; i < 2 && (elapsed > Slow || bytes > Allowed(input)); i++)
            {
                var (again, less) = Once(input, which);
                (elapsed, bytes) = (again < elapsed ? again : elapsed, Math.Min(bytes, less));
            }

            (Longest, MostBytes) = (elapsed > Longest ? elapsed : Longest, Math.Max(MostBytes, bytes));
            if (elapsed > Slow)
            {
                Found(which, "slow", $"{elapsed.TotalSeconds:F1} s");
            }

            if (bytes > Allowed(input))
            {
                Found(which, "greedy", $"{bytes} bytes for {input.Length}");
            }
        }

        private static long Allowed(byte[] input) => AllocatedBytes + (AllocatedPerByte * input.Length);

        private (TimeSpan Elapsed, long Bytes) Once(byte[] input, long which)
        {
            long before = GC.GetAllocatedBytesForCurrentThread(), start = Stopwatch.GetTimestamp();
            Volatile.Write(ref since, start);
            try
            {
                Accepted += target.Run(input) ? 1 : 0;
            }
            catch (FaultException e)
            {
                Refusals.Add(Details.Replace(e.Message[(e.Message.IndexOf(": ", StringComparison.Ordinal) + 1)..], "#"));
                if (e.Message.Length > 20_000)
                {
                    Found(which, "long message", $"{e.Message.Length} characters");
                }
            }
            catch (Exception e)
            {
                Found(which, Place(e), e.ToString());
            }

            Volatile.Write(ref since, 0);
            return (Stopwatch.GetElapsedTime(start), GC.GetAllocatedBytesForCurrentThread() - before);
        }

        private void Found(long which, string what, string details) => Findings.TryAdd(what, new Finding(format, which, what, details));
    }
}
