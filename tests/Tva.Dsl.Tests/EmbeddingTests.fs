/// The evaluator inside other programs: values, memory in and out, many threads, confinement, hosts that throw or cancel.
module Tva.Dsl.Tests.EmbeddingTests

open System
open System.Collections.Generic
open System.IO
open System.Threading
open System.Threading.Tasks
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Tests.Scripts
open Xunit

let private checkpoint (name: string) (w: float32[]) (b: float32[]) =
    new MemoryCheckpoint(name, [ MemoryTensor.Of("layers.0.w", ReadOnlyMemory w, 2L, int64 w.Length / 2L); MemoryTensor.Of("layers.1.b", ReadOnlyMemory b, int64 b.Length) ])

let private values n (f: int -> float) = Array.init n (fun i -> float32 (f i))

let private wBase, bBase = values 6 (fun i -> 0.5 * float i - 1.0), values 3 float
let private wTuned, bTuned = values 6 (fun i -> 0.25 * float (i * i)), values 3 (fun i -> float i + 1.0)

let private options =
    EvaluatorOptions.Default.WithVariable(checkpoint "start" wBase bBase).WithVariable(checkpoint "tuned" wTuned bTuned).WithFolder(examples)

let private given (pairs: (string * obj) list) = Dictionary(dict pairs) :> IReadOnlyDictionary<string, obj>

let private run (e: Evaluator) text = e.RunAsync(text).GetAwaiter().GetResult().EnsureSucceeded()

[<Fact>]
let ``models from memory are merged into memory`` () =
    use e = new Evaluator(options)
    let result =
        e.RunAsync("param k = 0.1\nA = tuned - start\nstart + k * A |> save(\"memory:merged\")\nnorm(A)\ncosine(A, A) > 0.5", given [ "k", 0.3 ])
            .GetAwaiter().GetResult().EnsureSucceeded()
    let merged = result.Models["merged"]
    let expected (a: float32[]) (b: float32[]) = Array.map2 (fun (x: float32) (y: float32) -> float x + 0.3 * (float y - float x)) a b
    for expected, actual in [ expected wBase wTuned, merged.ToArray<float32> "layers.0.w"; expected bBase bTuned, merged.ToArray<float32> "layers.1.b" ] do
        Array.iter2 (fun (x: float) (y: float32) -> Assert.Equal(x, float y, 1e-6)) expected actual
    let squares = Array.concat [ Array.map2 (-) wTuned wBase; Array.map2 (-) bTuned bBase ] |> Array.sumBy (fun d -> float d * float d)
    Assert.Equal(sqrt squares, unbox<float> result["norm(A)"], 1e-6)
    Assert.True(unbox<bool> result["cosine(A, A) > 0.5"])
    Assert.Empty result.Saved
    Assert.Equal(4.0 * 9.0, float (merged.Tensors |> Seq.sumBy _.Bytes))

[<Fact>]
let ``memory by path, as parameter, as delta, and half precision`` () =
    use e = new Evaluator(options)
    let half = new MemoryCheckpoint("half", [ MemoryTensor.Of("layers.0.w", ReadOnlyMemory(wTuned |> Array.map Half.op_Explicit), 2L, 3L); MemoryTensor.Of("layers.1.b", DType.F32, ReadOnlyMemory bTuned, Shape 3L) ])
    let twist = new MemoryCheckpoint("twist", [ MemoryTensor.Of("layers.0.w", ReadOnlyMemory wTuned, 2L, 3L); MemoryTensor.Of("layers.1.b", ReadOnlyMemory bTuned, 3L) ], dict [ "tva.kind", "delta" ] |> Dictionary)
    let text = "f = family([\"memory:half\", \"memory:tuned\"], start)\nstart + sum(f) - 2 * f.tuned |> save(\"memory:a\", dtype = \"f16\")\nstart + twist |> save(\"memory:b\")"
    let result = e.RunAsync(text, given [ "half", half; "twist", twist ]).GetAwaiter().GetResult().EnsureSucceeded()
    Assert.Equal(DType.F16, result.Models["a"].Tensors[0].DType)
    let a = result.Models["a"].ToArray<Half> "layers.0.w"
    Array.iteri (fun i (v: Half) -> Assert.Equal(float wBase[i], float v, 2e-3)) a
    let b = result.Models["b"].ToArray<float32> "layers.1.b"
    Assert.Equal<float32[]>(Array.map2 (+) bBase bTuned, b)
    Assert.Equal("Delta", e.Check("x = twist", given [ "twist", twist ]).Types["x"])

[<Fact>]
let ``a file and memory give the same bytes`` () =
    use temp = new TempFolder()
    let path = temp.File "merged.safetensors"
    let text target = $"base = model(\"zoo/base.safetensors\")\ntasks = family(\"zoo/tasks/*.safetensors\", base)\nbase + 0.3 * sum(trim(tasks, 0.2)) |> save(\"{target}\")"
    use e = new Evaluator(options.WithMemory(64L <<< 20).WithThreads 2)
    let result = run e (text path)
    Assert.Equal<string>([ path ], result.Saved)
    let merged = (run e (text "memory:merged")).Models["merged"]
    use file = Checkpoint.Open path
    Assert.Equal<TensorInfo>(file.Tensors |> Seq.map (fun t -> TensorInfo(t.Name, t.DType, t.Shape, 0, 0L)), merged.Tensors)
    for t in file.Tensors do
        let a, b = Array.zeroCreate<byte> (int t.Bytes), Array.zeroCreate<byte> (int t.Bytes)
        file.Read(t, 0L, Span a)
        merged.Read(t, 0L, Span b)
        Assert.Equal<byte[]>(a, b)

[<Fact>]
let ``check tells types and mistakes, explain the plan`` () =
    use e = new Evaluator(options)
    let good = e.Check "A = tuned - start\nn = norm(A)\ndef twice(x: Delta): Delta = 2 * x\nstart + twice(A)"
    Assert.True(good.Succeeded, good.Messages)
    Assert.Equal<KeyValuePair<string, string> seq>(
        [ "A", "Delta"; "it", "Model"; "n", "Scalar"; "twice", "twice(x: Delta): Delta" ] |> List.map KeyValuePair, good.Types)
    let bad = e.Check "A = tuned - start\nB = A + missing"
    Assert.False bad.Succeeded
    Assert.Equal("Delta", bad.Types["A"])
    Assert.Contains("`missing` is not defined here", bad.Messages)
    Assert.Contains("<text>:2:9", bad.Messages)
    Assert.Contains("memory:merged", e.Explain "start + 0.5 * (tuned - start) |> save(\"memory:merged\")")
    Assert.Contains("missing", Assert.Throws<ArgumentException>(fun () -> e.Explain "missing" |> ignore).Message)
    let unrun = e.RunAsync("start |> save(\"memory:a\")\nmissing").Result
    Assert.False unrun.Succeeded
    Assert.Empty unrun.Models
    Assert.Contains("missing", Assert.Throws<InvalidOperationException>(fun () -> unrun.EnsureSucceeded() |> ignore).Message)

[<Fact>]
let ``a failed assertion, tables and wrong parameters`` () =
    use e = new Evaluator(options)
    let failed = e.RunAsync("assert norm(tuned - start) < 0.001, \"too far\"\nstart |> save(\"memory:a\")").Result
    Assert.False failed.Succeeded
    Assert.Contains("too far", failed.AssertionFailure)
    Assert.Empty failed.Models
    let result = run e "f = family({ a: \"memory:tuned\", b: \"memory:start\" }, start)\nsimilarity(family({ a: \"memory:tuned\", b: \"memory:tuned\" }, start))\nprint(\"x\", 2)"
    let table = result.Shown[0].Values[0] :?> NumberTable
    Assert.Equal(1.0, table["a", "b"], 1e-9)
    Assert.Equal<obj>([ box "x"; box 2.0 ], result.Shown[1].Values)
    Assert.Throws<KeyNotFoundException>(fun () -> result["norm(A)"] |> ignore) |> ignore
    let wrong (value: obj) = Assert.Throws<ArgumentException>(fun () -> e.Check("param k = 1", given [ "k", value ]) |> ignore) |> ignore
    wrong nan
    wrong (DateTime(2020, 1, 1))
    Assert.Contains("no", (e.Check("param k = 1", given [ "no", 1 ])).Messages)
    let none: string = Unchecked.defaultof<string>
    Assert.Throws<ArgumentNullException>(fun () -> e.Check none |> ignore) |> ignore
    Assert.Throws<ArgumentNullException>(fun () -> e.Explain none |> ignore) |> ignore
    Assert.Throws<ArgumentNullException>(fun () -> e.RunAsync none |> ignore) |> ignore
    Assert.ThrowsAny<Tva.Core.FaultException>(fun () -> new Evaluator(options.WithDevice "no such device") |> ignore) |> ignore
    Assert.Contains("there is no \"memory:none\"", (e.Check "model(\"memory:none\")").Messages)
    for text in [ "f = family([\"memory:tuned\", \"memory:start\"], start)\nf @basis(1) |> save(\"memory:b\")"; "tuned - start |> save(\"memory:b\", as = \"lora\", rank = 1)" ] do
        Assert.Contains("can't be saved to \"memory:b\"", (e.Check text).Messages)

[<Fact>]
let ``a checkpoint that the text doesn't call is told of`` () =
    use e = new Evaluator(options)
    let twin = checkpoint "any" wTuned bTuned
    let mistakes (text: string) name = [ for d in (e.RunAsync(text, given [ name, twin ]).Result).Check.Diagnostics -> d.Code, d.Message ]
    let uncalled name = "TVA0341", $"a checkpoint is given as `{name}`, and the text calls nothing so"
    Assert.Equal<(string * string) list>([ uncalled "tunde" ], mistakes "norm(tuned - start)" "tunde")
    // The name is the text's own from there on.
    Assert.Equal<(string * string) list>([ uncalled "x" ], mistakes "x = 1\nprint(x)" "x")
    for called in [ "norm(raw(y))"; "norm(raw(model(\"memory:y\")))"; "def f(k) = norm(k * raw(y))\nf(2)" ] do
        Assert.Empty(mistakes called "y")
    // Variables are for every text, and none needs to call them.
    Assert.True((e.Check "print(1)").Succeeded)
    Assert.Throws<ArgumentNullException>(fun () -> e.Check("param k = 1", given [ "k", Unchecked.defaultof<obj> ]) |> ignore) |> ignore

[<Fact>]
let ``messages name what a host calls, not the command's switches`` () =
    use e = new Evaluator(options)
    let fault (o: EvaluatorOptions) =
        Assert.ThrowsAny<FaultException>(fun () ->
            use e = new Evaluator(o)
            run e "base = model(\"zoo/base.safetensors\")\nbase + 0.5 * (model(\"zoo/tasks/digits.safetensors\") - base) |> save(\"memory:a\")\nnorm(raw(start))" |> ignore).Message
    let broken = checkpoint "start" [| nanf; 1.0f; 1.0f; 1.0f; 1.0f; 1.0f |] bBase
    for expected, told in
        [ "parameter nope: the script has no such parameter", (e.Check("param k = 1", given [ "nope", 1 ])).Messages
          "parameter k:1:1: error TVA0310", (e.Check("param k = 1", given [ "k", true ])).Messages
          "run with WithRun()", (e.Check "evaluate(tuned, \"echo {model}\")").Messages
          "run with WithFSharp(FSharpHosts.create)", (e.Check "fs \"1.0\"").Messages
          "with WithMemory", fault (options.WithMemory 1000L)
          "WithDevice(\"zz\"): there ", fault (options.WithDevice "zz")
          "run without WithStrict", fault (options.WithVariable(broken).WithStrict()) ] do
        Assert.Contains(expected, told)
        Assert.DoesNotContain("--", told.Replace("-->", ""))

[<Fact>]
let ``one evaluator serves many threads`` () =
    use e = new Evaluator(options.WithThreads(1).WithMemory(32L <<< 20))
    let text = "A = tuned - start\nstart + k * A |> save(\"memory:m\")\nnorm(k * A)"
    let one (k: float) =
        task {
            let! r = e.RunAsync("param k = 1\n" + text, given [ "k", k ])
            return unbox<float> (r.EnsureSucceeded()["norm(k * A)"]), r.Models["m"].ToArray<float32> "layers.0.w"
        }
    let norm, _ = (one 1.0).Result
    let all = Task.WhenAll [ for i in 1..64 -> one (float i / 16.0) ]
    Assert.True(all.Wait(TimeSpan.FromMinutes 2.0))
    all.Result |> Array.iteri (fun i (n, w) ->
        let k = float (i + 1) / 16.0
        Assert.Equal(k * norm, n, 1e-6)
        Array.iteri (fun j (v: float32) -> Assert.Equal(float wBase[j] + k * (float wTuned[j] - float wBase[j]), float v, 1e-5)) w)

let private zooText target = $"base = model(\"zoo/base.safetensors\")\ntasks = family(\"zoo/tasks/*.safetensors\", base)\nbase + 0.3 * sum(tasks) |> save(\"{target}\")"

[<Theory>]
[<InlineData(true)>]
[<InlineData(false)>]
let ``a listener that throws ends the run and leaves nothing`` (early: bool) =
    use temp = new TempFolder()
    use e = new Evaluator(options)
    let listener = { new IProgress<Event> with member _.Report ev = if (if early then ev.IsStarted else ev.IsProgressed) then raise (InvalidTimeZoneException "the host's own") }
    let thrown = Assert.ThrowsAnyAsync<InvalidTimeZoneException>(fun () -> e.RunAsync(zooText (temp.File "m.safetensors"), null, listener) :> Task).Result
    Assert.Equal("the host's own", thrown.Message)
    Assert.Empty(Directory.GetFileSystemEntries temp.Path)
    Assert.True((run e (zooText (temp.File "m.safetensors"))).Succeeded)

[<Fact>]
let ``a cancelled run leaves nothing, and the evaluator goes on`` () =
    use temp = new TempFolder()
    use e = new Evaluator(options)
    use cancel = new CancellationTokenSource()
    let listener = { new IProgress<Event> with member _.Report ev = if ev.IsStarted then cancel.Cancel() }
    let running = e.RunAsync(zooText (temp.File "m.safetensors"), null, listener, cancel.Token)
    Assert.ThrowsAnyAsync<OperationCanceledException>(fun () -> running :> Task).Wait()
    Assert.True running.IsCanceled
    Assert.Empty(Directory.GetFileSystemEntries temp.Path)
    Assert.True((run e (zooText "memory:m")).Succeeded)

/// Takes what is saved and passes it on; can be told to fail.
type private Forwarding(path: string, bytes: int64, fail: bool, log: List<string>) =
    let mutable seen = 0L
    interface ICheckpointWriter with
        member _.Path = path
        member _.Bytes = bytes
        member _.Write(_, _, source) =
            let n = int64 source.Length
            if fail then raise (FaultException "the line is down")
            Interlocked.Add(&seen, n) |> ignore
        member _.Commit() = log.Add $"{path}: {Interlocked.Read &seen} of {bytes}"
        member _.Dispose() = log.Add "closed"

[<Fact>]
let ``outputs go to the host's own writer`` () =
    let log = List<string>()
    let target fail = OutputTarget(fun path tensors _ -> new Forwarding(path, tensors |> Seq.sumBy (fun struct (_, d, s) -> s.Elements * int64 (d.Size())), fail, log))
    use e = new Evaluator(options.WithOutputs(target false))
    Assert.Empty((run e "start + 0.5 * (tuned - start) |> save(\"memory:up\")").Models)
    Assert.Equal<string>([ "memory:up: 36 of 36"; "closed" ], log)
    use failing = new Evaluator(options.WithOutputs(target true))
    let fault = Assert.ThrowsAnyAsync<FaultException>(fun () -> failing.RunAsync "start |> save(\"memory:up\")" :> Task).Result
    Assert.Contains("the line is down", fault.Message)
    Assert.Equal("closed", log[log.Count - 1])

[<Fact>]
let ``texts stay inside the allowed folders`` () =
    use temp = new TempFolder()
    let folder (name: string) = Directory.CreateDirectory(temp.File name).FullName
    let read, write, secret = folder "in", folder "out", folder "secret"
    let copy (target: string) = File.Copy(Path.Combine(examples, "zoo/base.safetensors"), target)
    copy (Path.Combine(read, "base.safetensors"))
    copy (Path.Combine(secret, "base.safetensors"))
    File.WriteAllText(Path.Combine(secret, "other.tva"), "x = 1")
    File.CreateSymbolicLink(Path.Combine(read, "link.safetensors"), Path.Combine(secret, "base.safetensors")) |> ignore
    Directory.CreateSymbolicLink(Path.Combine(read, "door"), secret) |> ignore
    Directory.CreateSymbolicLink(Path.Combine(write, "door"), secret) |> ignore
    File.CreateSymbolicLink(Path.Combine(write, "link.safetensors"), Path.Combine(secret, "new.safetensors")) |> ignore
    let shards = folder "in/shards"
    copy (Path.Combine(shards, "a.safetensors"))
    File.CreateSymbolicLink(Path.Combine(shards, "b.safetensors"), Path.Combine(secret, "base.safetensors")) |> ignore
    use e = new Evaluator(EvaluatorOptions.Default.WithFolder(read).WithFolders([ read ], [ write ]))
    let load = "m = model(\"base.safetensors\")\n"
    for text in
        [ "m = model(\"../secret/base.safetensors\")"
          $"m = model(\"{secret}/base.safetensors\")"
          "m = model(\"link.safetensors\")"
          "m = model(\"door/base.safetensors\")"
          "m = model(\"shards\")"
          load + "d = delta(\"door/base.safetensors\", m)"
          load + "f = family(\"../secret/*.safetensors\", m)"
          load + "f = family(\"door/*.safetensors\", m)"
          load + "f = family(\"shards/../../secret/b*\", m)"
          load + "f = family([\"door/base.safetensors\"], m)"
          "include \"../secret/other.tva\""
          load + "m |> save(\"new.safetensors\")"
          load + "m |> save(\"../secret/new.safetensors\")"
          load + "m |> save(\"../out/link.safetensors\")"
          load + "m |> save(\"../out/door/new.safetensors\")"
          load + "raw(m) |> save(\"../secret/lora\", as = \"lora\", rank = 1)" ] do
        let found = e.Check text
        Assert.True(found.Diagnostics |> Seq.exists (fun d -> d.Code = "TVA0602"), text + "\n" + found.Messages)
        Assert.DoesNotContain("other.tva:", found.Messages)
    // A link among what a glob finds is told as one.
    Assert.Contains("\"link.safetensors\"", (e.Check(load + "f = family(\"l*.safetensors\", m)")).Messages)
    // A wildcard followed by `..` finds nothing outside.
    Assert.Contains("no checkpoint matches", (e.Check(load + "f = family(\"*/../../secret/*.safetensors\", m)")).Messages)
    let result = run e (load + "m |> save(\"../out/new.safetensors\")\nn = norm(raw(m))")
    Assert.Equal<string>([ Path.Combine(write, "new.safetensors") ], result.Saved)
    Assert.Equal<string>([ "base.safetensors"; "other.tva" ], Directory.GetFiles secret |> Array.map (fun f -> string (Path.GetFileName f)) |> Array.sort)

[<Fact>]
let ``a family in a folder that may only be read gets no Gram matrix beside it`` () =
    use temp = new TempFolder()
    for file in Directory.GetFiles(Path.Combine(examples, "zoo/tasks"), "*.safetensors") do
        File.Copy(file, temp.File(string (Path.GetFileName file)))
    let before = Directory.GetFiles(temp.Path).Length
    use e = new Evaluator(EvaluatorOptions.Default.WithFolder(examples).WithFolders([ examples; temp.Path ], []))
    let result = run e $"b = model(\"zoo/base.safetensors\")\nf = family(\"{temp.Path}/*.safetensors\", b)\nerrors(f @basis(2, \"svd\"))"
    Assert.NotEmpty result.Shown
    Assert.Equal(before, Directory.GetFiles(temp.Path).Length)

[<Fact>]
let ``numbers of any type and lists of them are parameters`` () =
    use e = new Evaluator(options)
    let sum (value: obj) = unbox<float> ((e.RunAsync("param k = [1]\nsum(k)", given [ "k", value ]).GetAwaiter().GetResult().EnsureSucceeded())["sum(k)"])
    let half (x: float) : Half = Half.op_Explicit x
    for value in [ box [ 1; 2; 4 ]; box [| 1.0f; 2.0f; 4.0f |]; box [| 1L; 2L; 4L |]; box (List<int>([ 1; 2; 4 ])); box (List<double>([ 1.0; 2.0; 4.0 ])); box [| half 1.0; half 2.0; half 4.0 |] ] do
        Assert.Equal(7.0, sum (Unchecked.nonNull value))
    let one (value: obj) = unbox<float> ((e.RunAsync("param k = 1\n2 * k", given [ "k", value ]).GetAwaiter().GetResult().EnsureSucceeded())["2 * k"])
    for value in [ box 3uy; box 3y; box 3us; box 3s; box 3; box 3L; box 3u; box 3UL; box 3.0; box 3.0f; box 3M; box (half 3.0) ] do
        Assert.Equal(6.0, one (Unchecked.nonNull value))
    Assert.Throws<ArgumentException>(fun () -> sum [ "a"; "b" ] |> ignore) |> ignore

[<Fact>]
let ``what can't be is said where it is given`` () =
    let wrong (call: unit -> obj) = Assert.Throws<ArgumentNullException>(fun () -> call () |> ignore) |> ignore
    let text: string = Unchecked.defaultof<_>
    wrong (fun () -> new Evaluator(Unchecked.defaultof<EvaluatorOptions>))
    wrong (fun () -> EvaluatorOptions.Default.WithVariable Unchecked.defaultof<MemoryCheckpoint>)
    wrong (fun () -> EvaluatorOptions.Default.WithDevice text)
    wrong (fun () -> EvaluatorOptions.Default.WithFolder text)
    wrong (fun () -> EvaluatorOptions.Default.WithOutputs Unchecked.defaultof<OutputTarget>)
    wrong (fun () -> EvaluatorOptions.Default.WithFSharp Unchecked.defaultof<Func<Tva.Dsl.Typing.IFSharpHost>>)
    Assert.Throws<ArgumentException>(fun () -> MemoryTensor.Of("s", ReadOnlyMemory [| 1.0f; 2.0f; 3.0f; 4.0f |], -2L, -2L) |> ignore) |> ignore
    // A checkpoint under the name of a `param` would be passed over.
    use e = new Evaluator(options)
    let found = e.Check("param start = 3\nstart")
    Assert.Equal<string list>([ "TVA0341" ], [ for d in found.Diagnostics -> d.Code ])

[<Fact>]
let ``a disposed evaluator takes no more texts`` () =
    let e = new Evaluator(options)
    Assert.True(e.Check("1 + 1").Succeeded)
    e.Dispose()
    e.Dispose()
    Assert.Throws<ObjectDisposedException>(fun () -> e.Check "1 + 1" |> ignore) |> ignore
    Assert.Throws<ObjectDisposedException>(fun () -> e.RunAsync "1 + 1" |> ignore) |> ignore
    Assert.Throws<ObjectDisposedException>(fun () -> e.Explain "1 + 1" |> ignore) |> ignore
    Assert.Throws<ObjectDisposedException>(fun () -> e.Check("x", ".", "1 + 1") |> ignore) |> ignore

[<Fact>]
let ``options for faults, caches and stopped runs`` () =
    let o = EvaluatorOptions.Default
    Assert.Equal<RunSettings>({ o.Run with Strict = true }, o.WithStrict().Run)
    Assert.Equal<RunSettings>({ o.Run with Cache = false; Resume = true; Incremental = true }, o.WithoutCache().WithResume().WithIncremental().Run)
    let broken = checkpoint "broken" (values 6 (fun i -> if i = 2 then nan else 1.0)) bBase
    use lenient = new Evaluator(options.WithVariable broken)
    Assert.Equal<string list>([ "memory:broken: tensor `layers.0.w` has 1 NaN elements" ], List.ofSeq (run lenient "start + (broken - start) * 0.5 |> save(\"memory:m\")").Warnings)
    use strict = new Evaluator(options.WithVariable(broken).WithStrict())
    Assert.Throws<FaultException>(fun () -> run strict "start + (broken - start) * 0.5 |> save(\"memory:m\")" |> ignore) |> ignore

[<Fact>]
let ``a name in memory is no path`` () =
    use e = new Evaluator(options)
    let result = run e "start |> save(\"memory:a\\u{0}/../b\")"
    Assert.Equal<string list>([ "a\u0000/../b" ], List.ofSeq result.Models.Keys)
    Assert.Equal<string list>([ "TVA0510" ], [ for d in e.Check("start |> save(\"memory:start\")").Diagnostics -> d.Code ])


[<Fact>]
let ``an output that nobody takes is written nowhere`` () =
    use temp = new TempFolder()
    let confined = options.WithFolders([ temp.Path ], []).WithFolder(temp.Path).WithOutputs(OutputTarget(fun _ _ _ -> null))
    use e = new Evaluator(confined)
    let fault = Assert.Throws<FaultException>(fun () -> run e "start |> save(\"memory:/../../../../x\")" |> ignore)
    Assert.Contains("takes nothing of that name", fault.Message)
    Assert.Empty(Directory.GetFileSystemEntries temp.Path)
