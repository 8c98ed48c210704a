// TVA inside a C# program: a model in memory is merged with one from a file, the result comes back as arrays, and what texts may touch is
// confined to a folder. The folder with the zoo is the only argument.
using Tva.Core;
using Tva.Core.Checkpoints;
using Tva.Dsl;
using Tva.Scripting;

string zoo = args.Length > 0 ? args[0] : "../zoo";

// A checkpoint in memory: here read from a file, but any arrays will do.
MemoryCheckpoint digits;
using (var file = Checkpoint.Open(Path.Combine(zoo, "tasks/digits.safetensors")))
{
    digits = new MemoryCheckpoint("digits", file.Tensors.Select(t =>
    {
        var elements = new byte[t.Bytes];
        file.Read(t, 0, elements);
        return MemoryTensor.Of<byte>(t.Name, t.DType, elements, t.Shape);
    }));
}

// One evaluator for the whole program: RunAsync may be called from any thread. Texts read in the zoo and write nowhere.
var options = EvaluatorOptions.Default.WithMemory(512L << 20).WithFolder(zoo).WithFolders([zoo], []).WithVariable(digits);
using var evaluator = new Evaluator(options);

const string merge = """
    param strength = 0.3
    base   = model("base.safetensors")
    A      = digits - base
    merged = base + strength * (A + delta("tasks/letters.safetensors", base))
    merged |> save("memory:merged", dtype = "f32")
    norm(A)
    """;

// What is wrong is found without running anything.
CheckResult check = evaluator.Check(merge.Replace("digits -", "digit -"));
Console.WriteLine($"{check.Diagnostics[0].Code}: {check.Diagnostics[0].Message}");

using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(5));
var progress = new Progress<Event>(e => { if (e is Event.Warned w) Console.Error.WriteLine(w.Item); });
EvaluationResult result = await evaluator.RunAsync(merge, new Dictionary<string, object> { ["strength"] = 0.5 }, progress, stop.Token);
result.EnsureSucceeded();
MemoryCheckpoint merged = result.Models["merged"];
float[] weights = merged.ToArray<float>(merged.Tensors[0].Name);
Console.WriteLine($"{merged.Tensors.Count} tensors, {weights.Length} numbers in {merged.Tensors[0].Name}, norm(A) = {result["norm(A)"]:F4}");

// Many at once, each with its own strength.
var strengths = Enumerable.Range(1, 8).Select(i => i / 8.0).ToArray();
var all = await Task.WhenAll(strengths.Select(s => evaluator.RunAsync(merge, new Dictionary<string, object> { ["strength"] = s })));
Console.WriteLine($"{all.Count(r => r.Succeeded)} merges at once");

// Texts that hold F#, where the host lets them: it runs with the process's rights, whatever the folders are.
using var withFSharp = new Evaluator(options.WithFSharp(FSharpHosts.create));
const string soften = """
    def soft(x: Delta, k: Scalar): Delta = fs "fun x k -> float32 (sign x) * max (abs x - k) 0.0f"
    norm(soft(digits - model("base.safetensors"), fs "1.0 / 1000.0"))
    """;
EvaluationResult softened = await withFSharp.RunAsync(soften);
Console.WriteLine($"softened with F#: {softened["norm(soft(digits - model(\"base.safetensors\"), fs \"1.0 / 1000.0\"))"]:F4}");
Console.WriteLine(evaluator.Check(soften).Diagnostics[0].Message);

// A path outside the folders is a finding, not an access.
Console.WriteLine(evaluator.Check("model(\"/etc/passwd\")").Diagnostics[0].Message);
