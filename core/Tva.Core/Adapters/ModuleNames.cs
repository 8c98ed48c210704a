using Tva.Core.Checkpoints;

namespace Tva.Core.Adapters;

/// <summary>
/// Comes in: the names under which an adapter wants tensors, and a base's tensors. Goes out: which is which. The adapter's names may have a
/// prefix more or less than the base's (<c>model.</c>, <c>transformer.</c>), the same for all of them, and underscores for dots.
/// </summary>
internal static class ModuleNames
{
    /// <summary>More leading components than these no wrapper adds.</summary>
    private const int MostDropped = 2;

    /// <summary>
    /// The base's tensor for each name that it has. Where one way of changing the prefix finds all of them, that one; else the names as they
    /// are, as far as they are there.
    /// </summary>
    /// <exception cref="FaultException">Several ways find all of them.</exception>
    public static IReadOnlyDictionary<string, string> Match(string path, IReadOnlyCollection<string> wanted, IEnumerable<string> known, bool isFlat)
    {
        var names = new Dictionary<string, string?>(StringComparer.Ordinal);
        foreach (var name in known)
        {
            var seen = isFlat ? Flat(name) : name;
            if (!names.TryAdd(seen, name))
            {
                names[seen] = null;
            }
        }

        var separator = isFlat ? '_' : '.';
        var whole = Apply(names, wanted, 0, "", out var all);
        if (all || wanted.Count == 0)
        {
            return whole;
        }

        // The longest name leaves the fewest ways.
        var probe = wanted.MaxBy(w => w.Length)!;
        var found = new List<(string Prefix, int Dropped, IReadOnlyDictionary<string, string> Names)>();
        for (var dropped = 0; dropped <= (isFlat ? 0 : MostDropped) && found.Count == 0; dropped++)
        {
            var rest = Drop(probe, dropped);
            if (rest is null || !rest.Contains(separator))
            {
                break;
            }

            foreach (var prefix in names.Keys.Where(n => n.EndsWith(rest, StringComparison.Ordinal)).Select(n => n[..^rest.Length])
                .Where(p => p.Length == 0 || p[^1] == separator).Distinct())
            {
                var map = Apply(names, wanted, dropped, prefix, out all);
                if (all)
                {
                    found.Add((prefix, dropped, map));
                }
            }
        }

        return found.Count switch
        {
            0 => whole,
            1 => found[0].Names,
            _ => throw new FaultException($"{path}: its modules fit several places of the base: under {Quoted.List([.. found.Select(f => f.Prefix)])}; "
                + "is this the model that it was made for?"),
        };
    }

    private static Dictionary<string, string> Apply(
        Dictionary<string, string?> names, IReadOnlyCollection<string> wanted, int dropped, string prefix, out bool all)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        all = true;
        foreach (var name in wanted)
        {
            if (Drop(name, dropped) is { } rest && names.TryGetValue(prefix + rest, out var found) && found is not null)
            {
                map.Add(name, found);
            }
            else
            {
                all = false;
                if (prefix.Length > 0 || dropped > 0)
                {
                    // A prefix must fit all; of the names as they are those that are there are of interest.
                    return map;
                }
            }
        }

        return map;
    }

    private static string? Drop(string name, int count)
    {
        var from = 0;
        for (; count > 0; count--)
        {
            from = name.IndexOf('.', from) + 1;
            if (from == 0)
            {
                return null;
            }
        }

        return name[from..];
    }

    /// <summary>A tensor's name as kohya's scripts write its module: dots are underscores; <c>.weight</c> stays apart.</summary>
    private static string Flat(string name) =>
        name.EndsWith(".weight", StringComparison.Ordinal) ? name[..^".weight".Length].Replace('.', '_') + ".weight" : name.Replace('.', '_');
}
