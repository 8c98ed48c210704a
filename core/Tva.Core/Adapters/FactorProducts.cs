using Tva.Core.Checkpoints;

namespace Tva.Core.Adapters;

/// <summary>
/// Comes in: pairs of adapters over one base. Goes out: their inner products tensor by tensor, ⟨B₁A₁, B₂A₂⟩ = tr((B₁ᵀB₂)(A₂A₁ᵀ)), each computed
/// once; only the factors are read, and in full what an adapter keeps in full.
/// </summary>
public sealed class FactorProducts
{
    /// <summary>Elements of a tensor kept in full that are read at a time.</summary>
    private const int Part = 1 << 16;

    private readonly Dictionary<(AdapterCheckpoint, AdapterCheckpoint), IReadOnlyDictionary<string, double>> known = [];

    /// <summary>Whether the products of a pair are known.</summary>
    public bool Has(AdapterCheckpoint a, AdapterCheckpoint b) => known.ContainsKey((a, b));

    /// <summary>⟨a, b⟩ by tensor, for tensors that both change; the others' is 0.</summary>
    public IReadOnlyDictionary<string, double> Of(AdapterCheckpoint a, AdapterCheckpoint b) => known[(a, b)];

    /// <summary>
    /// Makes the products of these pairs known, tensor after tensor: of a tensor each adapter's factors are read once. Bits don't depend on the
    /// threads.
    /// </summary>
    /// <returns>Bytes read.</returns>
    /// <exception cref="FaultException">A file can't be read.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public long Require(IReadOnlyCollection<(AdapterCheckpoint A, AdapterCheckpoint B)> pairs, int threads, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var missing = pairs.Where(p => !Has(p.A, p.B)).Distinct().ToArray();
        var byTensor = new SortedDictionary<string, List<int>>(StringComparer.Ordinal);
        for (var p = 0; p < missing.Length; p++)
        {
            foreach (var tensor in missing[p].A.Tensors.Where(t => missing[p].B.Find(t.Name) is not null))
            {
                if (!byTensor.TryGetValue(tensor.Name, out var list))
                {
                    byTensor.Add(tensor.Name, list = []);
                }

                list.Add(p);
            }
        }

        var results = missing.Select(_ => new Dictionary<string, double>(StringComparer.Ordinal)).ToArray();
        long read = 0;
        try
        {
            Parallel.ForEach(byTensor, new ParallelOptions { MaxDegreeOfParallelism = Math.Max(1, threads), CancellationToken = cancellation }, entry =>
            {
                var factors = new Dictionary<AdapterCheckpoint, Factors>();
                foreach (var p in entry.Value)
                {
                    cancellation.ThrowIfCancellationRequested();
                    var (value, bytes) = Product(entry.Key, missing[p].A, missing[p].B, factors);
                    Interlocked.Add(ref read, bytes);
                    lock (results[p])
                    {
                        results[p][entry.Key] = value;
                    }
                }
            });
        }
        catch (AggregateException e) when (e.Flatten().InnerExceptions.FirstOrDefault(x => x is FaultException) is { } fault)
        {
            throw new FaultException(fault.Message, e);
        }

        for (var p = 0; p < missing.Length; p++)
        {
            known[missing[p]] = results[p];
            known[(missing[p].B, missing[p].A)] = results[p];
        }

        return read;
    }

    private static (double Value, long Bytes) Product(string tensor, AdapterCheckpoint a, AdapterCheckpoint b, Dictionary<AdapterCheckpoint, Factors> factors)
    {
        if (a.ChangeOf(tensor)!.IsLowRank && b.ChangeOf(tensor)!.IsLowRank)
        {
            var (x, newA) = Get(a);
            var (y, newB) = Get(b);
            return (x.Dot(y), newA + newB);
        }

        var (infoA, infoB) = (a.Find(tensor)!, b.Find(tensor)!);
        float[] one = new float[Part], other = new float[Part];
        double sum = 0;
        for (long at = 0; at < infoA.Shape.Elements; at += Part)
        {
            var count = (int)Math.Min(Part, infoA.Shape.Elements - at);
            a.Read(infoA, at * sizeof(float), System.Runtime.InteropServices.MemoryMarshal.AsBytes(one.AsSpan(0, count)));
            b.Read(infoB, at * sizeof(float), System.Runtime.InteropServices.MemoryMarshal.AsBytes(other.AsSpan(0, count)));
            double part = 0;
            for (var i = 0; i < count; i++)
            {
                part += (double)one[i] * other[i];
            }

            sum += part;
        }

        return (sum, a.StoredBytes(infoA) + (ReferenceEquals(a, b) ? 0 : b.StoredBytes(infoB)));

        (Factors Factors, long Bytes) Get(AdapterCheckpoint c)
        {
            if (factors.TryGetValue(c, out var found))
            {
                return (found, 0);
            }

            factors.Add(c, found = c.FactorsOf(tensor));
            return (found, c.StoredBytes(c.Find(tensor)!));
        }
    }
}
