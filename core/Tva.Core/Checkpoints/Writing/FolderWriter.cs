using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a folder's path, the tensors' shapes, then their bytes in any order. Goes out: a folder of shards with their index and what goes
/// beside them, complete or not at all: all of it grows in <c>PATH.partial</c>, which in one step takes the folder's name.
/// </summary>
internal sealed class FolderWriter : ICheckpointWriter
{
    // So many shards are open at a time: processes may have a thousand files, and inputs want some.
    private const int MostOpen = 64;

    private readonly FolderOutput folder;
    private readonly ShardLayout layout;
    private readonly IReadOnlyDictionary<string, string> metadata;
    private readonly TensorFile[] shards;
    private readonly HandlePool pool;
    private readonly Unfinished unfinished;
    private readonly WriteOptions options;
    private readonly FolderSwitch place;
    private readonly bool unchanged;
    private readonly bool begun;
    private bool done;

    /// <summary>Begins every shard with its header. What a run that died has left is replaced, or gone on with where the options say so.</summary>
    /// <exception cref="FaultException">The path can't be written, holds what no run has written, another run writes it, or the disk hasn't enough room.</exception>
    public FolderWriter(
        string path, IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, IReadOnlyDictionary<string, string> metadata,
        FolderOutput folder, WriteOptions options)
    {
        (Path, this.folder, this.options) = (path, folder, options);
        layout = new ShardLayout(tensors, folder.ShardBytes);
        place = new FolderSwitch(path, FolderOutput.Foreign);
        pool = new HandlePool(path, MostOpen);
        this.metadata = new Dictionary<string, string>(metadata)
        {
            [FolderOutput.FilesKey] = FolderOutput.List([.. layout.Names, .. layout.Index is null ? [] : (string[])[ShardLayout.IndexName],
                .. folder.Files.Select(f => f.Name), .. folder.Card ? (string[])[FolderOutput.CardName] : []]),
        };
        shards = [.. layout.Members.Select((members, s) =>
        {
            var file = System.IO.Path.Combine(place.Partial, layout.Names[s]);
            return new TensorFile(
                $"{path}/{layout.Names[s]}", [.. members.Select(i => tensors[i])], this.metadata,
                options.Plans is { } plans ? [.. members.Select(i => plans[i])] : null, folder.Card, () => pool.Get(file));
        })];
        Bytes = shards.Sum(s => s.Bytes);
        unfinished = new Unfinished(path, place.Target, shards, options);
        var earlier = (options.Resume || options.Incremental) && options.Plans is not null ? Earlier() : [];
        try
        {
            unfinished.Lock();
            if (earlier.Count == shards.Length && earlier.Zip(shards).All(x => x.First.Is(x.Second)) && IsBeside())
            {
                unchanged = true;
                foreach (var shard in shards)
                {
                    for (var i = 0; i < shard.Tensors.Count; i++)
                    {
                        shard.Keep(i, default);
                    }
                }

                // What a run has left that died when all was done.
                place.Discard();
                unfinished.Forget();
                unfinished.Dispose();
                return;
            }

            place.Prepare();
            begun = true;
            if (!unfinished.MayResume || !unfinished.Resume())
            {
                unfinished.Forget();
                place.Begin();
                PartialFile.RequireSpace(path, place.Target, Bytes);
                foreach (var shard in shards)
                {
                    shard.Begin();
                }
            }

            if (options.Incremental)
            {
                unfinished.Reuse(earlier, (s, i) => options.Plans![layout.Members[s][i]]);
            }

            unfinished.Watch();
        }
        catch
        {
            Dispose();
            throw;
        }
        finally
        {
            foreach (var file in earlier)
            {
                file.Dispose();
            }
        }
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public long Bytes { get; }

    /// <inheritdoc/>
    public OutputReport Report => new(Path, layout.Shard.Length, unfinished.Resumed, unfinished.Reused, unchanged, unfinished.Restarted);

    /// <inheritdoc/>
    public bool Has(int tensor) => shards[layout.Shard[tensor]].IsKept(layout.Place[tensor]);

    /// <inheritdoc/>
    public void Write(int tensor, long byteOffset, ReadOnlySpan<byte> source) =>
        shards[layout.Shard[tensor]].Write(layout.Place[tensor], byteOffset, source);

    /// <inheritdoc/>
    public void Commit()
    {
        ObjectDisposedException.ThrowIf(done, this);
        if (unchanged)
        {
            done = true;
            return;
        }

        unfinished.Stop();
        foreach (var shard in shards)
        {
            shard.Seal();
        }

        foreach (var file in folder.Files)
        {
            Put(file.Name, file.Content);
        }

        if (folder.Card)
        {
            var name = System.IO.Path.GetFileName(place.Target);
            Put(FolderOutput.CardName, ModelCard.Render(name, metadata, Tensors(), layout.TotalBytes));
        }

        if (layout.Index is { } index)
        {
            Put(ShardLayout.IndexName, index);
        }

        options.RequireInputs();
        pool.Dispose();
        place.Commit();
        done = true;
        unfinished.Dispose();
    }

    /// <summary>Closes the files; those that were not committed are deleted, or left for a later run where the options say so.</summary>
    public void Dispose()
    {
        if (done)
        {
            return;
        }

        done = true;
        if (!begun)
        {
            pool.Dispose();
            unfinished.Close();
            return;
        }

        if (options.Resume && options.Plans is not null)
        {
            unfinished.Leave();
            pool.Dispose();
            return;
        }

        unfinished.Stop();
        pool.Dispose();
        place.Discard();
        unfinished.Dispose();
    }

    private IEnumerable<(string Name, DType DType, Shape Shape, TensorSummary Summary)> Tensors() =>
        layout.Shard.Select((s, i) => (shards[s].Tensors[layout.Place[i]], shards[s].Summaries[layout.Place[i]]))
            .Select(x => (x.Item1.Name, x.Item1.DType, x.Item1.Shape, x.Item2));

    private List<EarlierFile> Earlier()
    {
        var files = new List<EarlierFile>();
        if (Directory.Exists(place.Target))
        {
            foreach (var file in Directory.EnumerateFiles(place.Target, "model*.safetensors").Order(StringComparer.Ordinal))
            {
                if (EarlierFile.Open(file, options.ChangedSince) is { } earlier)
                {
                    files.Add(earlier);
                }
            }
        }

        return files;
    }

    /// <summary>Whether what goes beside the tensors is there as it would be written.</summary>
    private bool IsBeside()
    {
        try
        {
            bool Is(string name, byte[] content) => File.ReadAllBytes(System.IO.Path.Combine(place.Target, name)).AsSpan().SequenceEqual(content);
            return folder.Files.All(f => Is(f.Name, f.Content)) && (layout.Index is null || Is(ShardLayout.IndexName, layout.Index))
                && (!folder.Card || File.Exists(System.IO.Path.Combine(place.Target, FolderOutput.CardName)));
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            return false;
        }
    }

    private void Put(string name, byte[] content)
    {
        try
        {
            using var file = File.OpenHandle(System.IO.Path.Combine(place.Partial, name), FileMode.Create, FileAccess.Write, FileShare.None);
            RandomAccess.Write(file, content, 0);
            Native.Flush(file);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing($"{Path}/{name}", "can't write it", e);
        }
    }
}
