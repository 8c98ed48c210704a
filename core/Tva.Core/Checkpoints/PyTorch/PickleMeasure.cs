namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a value just read. Goes out: depth and number of tensors in each container. One that holds itself, or holds too deep, is a
/// fault, so that whoever walks a value may recurse. Only objects may be held by what they hold, as modules know their parents: who walks
/// them keeps count, to <see cref="MaxDepth"/>.
/// </summary>
internal static class PickleMeasure
{
    public const int MaxDepth = 200;

    // Without recursion, for the depth isn't known yet; each container once, however often it is held.
    public static void Of(string where, PickleValue root)
    {
        if (root is not PickleContainer container)
        {
            return;
        }

        var way = new Stack<Step>();
        way.Push(new Step(container, 0));
        container.Depth = -1;
        while (way.TryPop(out var top))
        {
            var (holder, next) = top;
            while (next < holder.Count && (holder[next] is not PickleContainer { Depth: <= 0 } || holder[next] is PickleObject { Depth: < 0 }))
            {
                next++;
            }

            if (next == holder.Count)
            {
                Sum(where, holder);
                continue;
            }

            var inner = (PickleContainer)holder[next];
            if (inner.Depth < 0)
            {
                throw new FaultException($"{where}: {inner} holds itself; this is no file of tensors, or it is damaged");
            }

            inner.Depth = -1;
            way.Push(new Step(holder, next + 1));
            way.Push(new Step(inner, 0));
        }
    }

    private static void Sum(string where, PickleContainer holder)
    {
        int depth = 0;
        long tensors = holder is PickleObject { HoldsStorage: true } ? 1 : 0;
        for (int i = 0; i < holder.Count; i++)
        {
            long more = holder[i] is PickleContainer inner ? inner.Tensors : holder[i] is PickleTensor ? 1 : 0;
            tensors = tensors > long.MaxValue - more ? long.MaxValue : tensors + more;
            depth = Math.Max(depth, (holder[i] as PickleContainer)?.Depth ?? 0);
        }

        if (depth >= MaxDepth)
        {
            throw new FaultException($"{where}: nests values more than {MaxDepth} deep; this is no file of tensors, or it is damaged");
        }

        (holder.Depth, holder.Tensors) = (depth + 1, tensors);
    }

    private sealed record Step(PickleContainer Container, int Next);
}
