using Microsoft.Win32.SafeHandles;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: paths of files being written. Goes out: their handles, so many open at a time, those used last: a model may have more shards
/// than a process may have files. A handle may be closed at any moment; whoever uses it asks for it again then.
/// </summary>
internal sealed class HandlePool(string shown, int most) : IDisposable
{
    private readonly Dictionary<string, LinkedListNode<(string Path, SafeFileHandle Handle)>> open = new(StringComparer.Ordinal);
    private readonly LinkedList<(string Path, SafeFileHandle Handle)> order = new();

    /// <summary>The file, made where it is missing.</summary>
    public SafeFileHandle Get(string path)
    {
        lock (open)
        {
            if (open.TryGetValue(path, out var node))
            {
                if (node != order.First)
                {
                    order.Remove(node);
                    order.AddFirst(node);
                }

                return node.Value.Handle;
            }

            while (order.Count >= most)
            {
                var last = order.Last!;
                order.RemoveLast();
                open.Remove(last.Value.Path);

                // What is in use stays open until it is not.
                last.Value.Handle.Dispose();
            }

            try
            {
                var handle = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
                open[path] = order.AddFirst((path, handle));
                return handle;
            }
            catch (Exception e) when (FileFaults.Handles(e))
            {
                throw FileFaults.Writing(shown, $"can't open {path}", e);
            }
        }
    }

    /// <summary>Closes all of them.</summary>
    public void Dispose()
    {
        lock (open)
        {
            foreach (var (_, handle) in order)
            {
                handle.Dispose();
            }

            order.Clear();
            open.Clear();
        }
    }
}
