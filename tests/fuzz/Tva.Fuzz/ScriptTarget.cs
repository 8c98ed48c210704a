using System.Text;
using Tva.Core.Checkpoints;
using Tva.Dsl;

namespace Tva.Fuzz;

/// <summary>Scripts over models of a few numbers: words lost, repeated, moved and exchanged; checked, and run where nothing is wrong with them.</summary>
public sealed class ScriptTarget : Target
{
    private static readonly string[] Good =
    [
        """
        base = model("memory:base")
        tasks = family({ a: "memory:a", b: "memory:b" }, base)
        param lambda = 0.3
        merged = base + lambda * sum(tasks) - 0.5 * tasks.a["*.w" and layers(0..1)]
        merged |> save("memory:out", dtype = "bf16")
        assert cosine(tasks.a, tasks.b) < 1.1, "too alike"
        """,
        """
        base = model("memory:base")
        A = model("memory:a") - base
        def gentle(x: Delta, k: Scalar = 0.1): Delta = { y = abs(x); k * trim(y, 0.5) }
        small = family({ a: "memory:a", b: "memory:b" }, base) @basis(1, "svd")
        norm(gentle(A) + ramp(0.2, 1.0) * small.a); print(true and not false, [1, 2, 3], { a: 1, "*": -2 ^ -1 })
        """,
        """
        base = model("memory:base"); t = family({ a: "memory:a", b: "memory:b" }, base)
        base + ties(t, density = 0.5) |> save("memory:ties")
        similarity(t); stack(base[layers(0..0)], (0.5*base + 0.5*model("memory:a"))[layers(1..1)])
        base + 0.5 * lowrank(t.b, rank = 1) + model_stock(t) * 0 |> save("memory:x")
        include "other.tva"
        """,
    ];

    private static readonly string[] Words =
    [
        .. Good.SelectMany(Split).Where(w => !string.IsNullOrWhiteSpace(w)).Distinct(), "$", "\0", "\u202E", "\"", "\"\"\"", "\\u{110000}", "1e999", "0..", "..", "99999999999999999999", "-", "((", "{{", "[[", "@", "|>",
        "fs \"1\"", "evaluate(base, \"x\")", "dare_ties(t, 0.2, seed = 1)", "della", "slerp", "sce", "breadcrumbs", "karcher", "repeat", "iso_c", "tsv_merge", "errors", "atoms", "delta", "polar", "median", "nan", "inf", "if", "else", "\"memory:a\"", "\"../x\"",
        "import", "true", "10000", "0", "0.0", "-0", "1e-30", "1e30", "\"*\"", "\"(\"", "# c", "## d", "\r", "\t", "😀",
    ];

    private readonly EvaluatorOptions options;
    private Evaluator evaluator;

    public ScriptTarget(string folder)
        : base(folder)
    {
        static MemoryCheckpoint Model(string name, float shift)
        {
            MemoryTensor Tensor(string tensor, int rows, int columns) =>
                MemoryTensor.Of<float>(tensor, Enumerable.Range(0, rows * columns).Select(i => MathF.Sin(i + shift)).ToArray(), rows, columns);
            return new MemoryCheckpoint(name, [Tensor("layers.0.w", 3, 2), Tensor("layers.1.w", 3, 2), Tensor("head", 1, 5)]);
        }

        Put("other.tva", "k = 2\n"u8.ToArray());
        options = EvaluatorOptions.Default.WithMemory(64 << 20).WithThreads(1).WithFolder(folder).WithFolders([folder], [folder])
            .WithVariable(Model("base", 0)).WithVariable(Model("a", 1)).WithVariable(Model("b", 2))
            .WithOutputs((path, tensors, metadata) => new MemoryWriter(path, tensors, metadata, _ => { }));
        evaluator = new Evaluator(options);
    }

    public override byte[] Make(Random random)
    {
        var words = Split(Good[random.Next(Good.Length)]);
        for (int k = random.Next(1, 5); k > 0 && words.Count > 0; k--)
        {
            int at = random.Next(words.Count), length = random.Next(1, Math.Min(9, words.Count - at + 1));
            switch (random.Next(8))
            {
                case 0:
                    words.RemoveRange(at, length);
                    break;
                case 1:
                    words.InsertRange(random.Next(words.Count + 1), words.GetRange(at, length));
                    break;
                case 2:
                    words.RemoveRange(at, words.Count - at);
                    break;
                case 3 when random.Next(30) == 0:
                    words.InsertRange(at, Enumerable.Repeat(Words[random.Next(Words.Length)], 1 << random.Next(12)));
                    break;
                case 4:
                    words.Insert(at, Words[random.Next(Words.Length)]);
                    break;
                default:
                    words[at] = Words[random.Next(Words.Length)];
                    break;
            }
        }

        var bytes = Encoding.UTF8.GetBytes(string.Concat(words));
        return random.Next(10) == 0 ? Bits.Damage(random, bytes) : bytes;
    }

    public override bool Run(byte[] input)
    {
        var found = evaluator.Check("<fuzz>", Folder, Encoding.UTF8.GetString(input));
        if (found.Any(d => d.Severity.IsError))
        {
            return false;
        }

        try
        {
            return evaluator.Run(_ => { }, CancellationToken.None).IsCompleted;
        }
        finally
        {
            // What was run stays known; the next text should find nothing.
            ((IDisposable)evaluator).Dispose();
            evaluator = new Evaluator(options);
        }
    }

    private static List<string> Split(string text)
    {
        var words = new List<string>();
        for (int i = 0; i < text.Length;)
        {
            int from = i++;
            while (i < text.Length && char.IsLetterOrDigit(text[from]) && (char.IsLetterOrDigit(text[i]) || text[i] is '_' or '.'))
            {
                i++;
            }

            words.Add(text[from..i]);
        }

        return words;
    }
}
