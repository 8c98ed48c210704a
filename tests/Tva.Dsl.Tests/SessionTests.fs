/// Texts one after another, as a person gives them: what fails leaves no trace, what is known is not read again, files may change.
module Tva.Dsl.Tests.SessionTests

open System
open System.Collections.Generic
open System.IO
open System.Threading
open Tva.Core
open Tva.Dsl
open Tva.Dsl.Tests.Scripts
open Xunit

let private zoo = Path.Combine(examples, "zoo")

/// A session over a folder of its own with three models of the zoo.
type private Session(memory: int64) =
    let folder = new TempFolder()
    let options =
        { EvaluatorOptions.Default with Session = true; Run = { RunSettings.Default with Memory = memory; Cache = false } }
    let evaluator = new Evaluator(options)
    let events = List<Event>()

    do
        for name in [ "base.safetensors"; "tasks/digits.safetensors"; "tasks/letters.safetensors"; "tasks/shapes.safetensors" ] do
            File.Copy(Path.Combine(zoo, name), folder.File(string (Path.GetFileName name)))

    new() = new Session(RunSettings.Default.Memory)

    member _.Folder = folder
    member _.Evaluator = evaluator
    member _.Check(text: string) = evaluator.Check("<prompt>", folder.Path, text)

    /// What the text shows and how many bytes are read for it; fails where it has errors.
    member s.Do(text: string) : Shown list * int64 =
        events.Clear()
        let hear e = lock events (fun () -> events.Add e)
        evaluator.Watch((fun e -> hear e), CancellationToken.None)
        let found = s.Check text
        if found |> List.exists (fun d -> d.Severity = Severity.Error) then
            failwith (String.Join("; ", found |> List.map _.Message))
        Assert.Equal(Outcome.Completed, evaluator.Run((fun e -> hear e), CancellationToken.None))
        let shown = events |> Seq.collect (function Event.Shown(_, items) -> items | _ -> []) |> List.ofSeq
        shown, events |> Seq.sumBy (function Event.Finished(read, _, _) -> read | _ -> 0L)

    member s.Number(text: string) : float * int64 =
        match s.Do text with
        | [ Shown.Number v ], read -> v, read
        | shown, _ -> failwith $"%A{shown}"

    member _.Events = List.ofSeq events

    interface IDisposable with
        member _.Dispose() =
            (evaluator :> IDisposable).Dispose()
            (folder :> IDisposable).Dispose()

let private three =
    "base = model(\"base.safetensors\")\nA = model(\"digits.safetensors\") - base\nB = model(\"letters.safetensors\") - base\nC = model(\"shapes.safetensors\") - base"

/// The same in float64 from the files' own numbers, in plain loops.
let private normOf (folder: TempFolder) (coefficients: (string * float) list) =
    let origin = load (folder.File "base.safetensors")
    let others = coefficients |> List.map (fun (name, c) -> c, load (folder.File(name + ".safetensors")))
    let mutable sum = 0.0
    for KeyValue(name, (_, values)) in origin do
        for i in 0 .. values.Length - 1 do
            let v = others |> List.sumBy (fun (c, m) -> c * ((snd m[name])[i] - values[i]))
            sum <- sum + v * v
    sqrt sum

let private near (expected: float) (actual: float) = Assert.InRange(actual, expected * (1.0 - 1e-6), expected * (1.0 + 1e-6))

/// As downloads do: under its name at once.
let private replace (folder: TempFolder) (name: string) (by: string) =
    let beside = folder.File(name + ".new")
    File.Copy(folder.File by, beside)
    File.SetLastWriteTimeUtc(beside, DateTime.UtcNow)
    File.Move(beside, folder.File name, true)

[<Fact>]
let ``a text with errors leaves no names, no effects and no diagnostics`` () =
    use s = new Session()
    s.Do "x = 1" |> ignore
    let wrong = s.Check "x = 2\ny = 3\nprint(x)\nz = nope"
    Assert.Contains(wrong, fun d -> d.Message.Contains "nope")
    // Neither the new y nor the new x, and nothing is printed later.
    Assert.Contains(s.Check "y", fun d -> d.Message.Contains "`y`")
    Assert.Equal((1.0, 0L), s.Number "x")
    Assert.Empty(s.Check "x + 1")

[<Fact>]
let ``a run that fails takes its names back and saves nothing`` () =
    use s = new Session()
    s.Do three |> ignore
    Assert.Empty(s.Check "k = 5\nassert k < 1, \"too large\"\nbase + k * A |> save(\"out.safetensors\")")
    match s.Evaluator.Run(ignore, CancellationToken.None) with
    | Outcome.AssertionFailed message -> Assert.Contains("too large", message)
    | other -> failwith $"%A{other}"
    Assert.False(File.Exists(s.Folder.File "out.safetensors"))
    Assert.Contains(s.Check "k", fun d -> d.Message.Contains "`k`")
    // The save is not waiting for the next run.
    s.Do "1" |> ignore
    Assert.False(File.Exists(s.Folder.File "out.safetensors"))

[<Fact>]
let ``a cancelled run takes its names back`` () =
    use s = new Session()
    s.Do three |> ignore
    Assert.Empty(s.Check "m = base + A\nm |> save(\"out.safetensors\")")
    use cancel = new CancellationTokenSource()
    cancel.Cancel()
    Assert.ThrowsAny<OperationCanceledException>(fun () -> s.Evaluator.Run(ignore, cancel.Token) |> ignore) |> ignore
    Assert.Contains(s.Check "m", fun d -> d.Message.Contains "`m`")
    Assert.Equal(4, Directory.GetFiles(s.Folder.Path).Length)

[<Fact>]
let ``a norm asked for again is read once`` () =
    use s = new Session()
    s.Do three |> ignore
    let first, read = s.Number "norm(A)"
    near (normOf s.Folder [ "digits", 1.0 ]) first
    Assert.True(read > 0L)
    Assert.Equal((first, 0L), s.Number "norm(A)")
    // Under another name, and written otherwise.
    Assert.Equal((first, 0L), s.Number "D = model(\"digits.safetensors\") - base\nnorm(D)")

[<Fact>]
let ``another coefficient of a known combination reads nothing`` () =
    use s = new Session()
    s.Do three |> ignore
    let first, read = s.Number "norm(0.3 * A + 0.5 * B - 0.2 * C)"
    near (normOf s.Folder [ "digits", 0.3; "letters", 0.5; "shapes", -0.2 ]) first
    Assert.True(read > 0L)
    let second, read = s.Number "norm(0.7 * A + 0.5 * B - 0.2 * C)"
    near (normOf s.Folder [ "digits", 0.7; "letters", 0.5; "shapes", -0.2 ]) second
    Assert.Equal(0L, read)
    let part, read = s.Number "norm(2 * B)"
    near (normOf s.Folder [ "letters", 2.0 ]) part
    Assert.Equal(0L, read)
    let _, read = s.Number "cosine(A, B)"
    Assert.Equal(0L, read)

[<Fact>]
let ``a family's Gram matrix serves its combinations`` () =
    use s = new Session()
    s.Do "base = model(\"base.safetensors\")\ntasks = family([\"digits.safetensors\", \"letters.safetensors\", \"shapes.safetensors\"], base)" |> ignore
    let _, read = s.Do "similarity(tasks)"
    Assert.True(read > 0L)
    let norm, read = s.Number "norm(0.3 * sum(tasks))"
    near (normOf s.Folder [ "digits", 0.3; "letters", 0.3; "shapes", 0.3 ]) norm
    Assert.Equal(0L, read)

[<Fact>]
let ``a difference that loses its digits is read`` () =
    use s = new Session()
    s.Do three |> ignore
    s.Do "norm(A + B)" |> ignore
    let norm, read = s.Number "norm(A - (A + 0.0001 * B))"
    near (normOf s.Folder [ "letters", 0.0001 ]) norm
    // What cancels out symbolically is known; what only nearly does has to be read.
    Assert.Equal(0L, read)

[<Fact>]
let ``tables by tensor are remembered too`` () =
    use s = new Session()
    s.Do three |> ignore
    let first, read = s.Do "stats(A)"
    Assert.True(read > 0L)
    let second, read = s.Do "stats(A)"
    Assert.Equal(0L, read)
    Assert.Equal<Shown list>(first, second)

[<Fact>]
let ``a file that has changed is noticed`` () =
    use s = new Session()
    s.Do three |> ignore
    let before, _ = s.Number "norm(A)"
    replace s.Folder "digits.safetensors" "shapes.safetensors"
    let after, read = s.Number "norm(A)"
    Assert.True(read > 0L)
    near (normOf s.Folder [ "digits", 1.0 ]) after
    Assert.NotEqual(before, after)
    Assert.Contains(s.Events, fun e -> match e with Event.Noted m -> m.Contains "digits.safetensors" | _ -> false)

[<Fact>]
let ``one changed byte far from any sample is noticed`` () =
    use s = new Session()
    s.Do three |> ignore
    let before, _ = s.Number "norm(A)"
    let path = s.Folder.File "digits.safetensors"
    let bytes = File.ReadAllBytes path
    bytes[bytes.Length / 2 + 3] <- bytes[bytes.Length / 2 + 3] ^^^ 2uy
    File.WriteAllBytes(path, bytes)
    let after, read = s.Number "norm(A)"
    Assert.True(read > 0L)
    near (normOf s.Folder [ "digits", 1.0 ]) after
    Assert.NotEqual(before, after)

[<Fact>]
let ``names over a file that is gone go, the others stay`` () =
    use s = new Session()
    s.Do "base = model(\"base.safetensors\")" |> ignore
    s.Do "A = model(\"digits.safetensors\") - base" |> ignore
    s.Do "B = model(\"letters.safetensors\") - base" |> ignore
    File.Delete(s.Folder.File "digits.safetensors")
    let norm, _ = s.Number "norm(B)"
    near (normOf s.Folder [ "letters", 1.0 ]) norm
    Assert.Contains(s.Check "norm(A)", fun d -> d.Message.Contains "`A`")

[<Fact>]
let ``what a command has printed stays from text to text`` () =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "the command is a Unix one")
    use s = new Session()
    s.Do three |> ignore
    Assert.Contains(s.Check "t = evaluate(base + A, \"echo '{\\\"a\\\": 0.25}' # {model}\")", fun d -> d.Code = Diagnostics.PermissionCode)
    s.Evaluator.Permissions <- { s.Evaluator.Permissions with Run = true }
    s.Do "t = evaluate(base + A, \"echo '{\\\"a\\\": 0.25}' # {model}\")" |> ignore
    Assert.Equal((0.25, 0L), s.Number "t.a")
    replace s.Folder "letters.safetensors" "shapes.safetensors"
    Assert.Equal((0.25, 0L), s.Number "t.a")

[<Fact>]
let ``a family shows its members' norms`` () =
    use s = new Session()
    s.Do three |> ignore
    match s.Do "family(A, B)" with
    | [ Shown.Text "Family of 2"; Shown.Table t ], _ ->
        Assert.Equal<string list>([ "norm" ], t.Columns)
        Assert.Equal<string list>([ "A"; "B" ], t.Rows |> List.map fst)
        near (normOf s.Folder [ "letters", 1.0 ]) (snd t.Rows[1]).Head
    | other -> failwith $"%A{other}"

// Pinning

let private pin (s: Session) text = s.Evaluator.Pin(s.Folder.Path, text, ignore, CancellationToken.None)

[<Fact>]
let ``pinned checkpoints compute the same, bit by bit`` () =
    use s = new Session()
    s.Do three |> ignore
    s.Do "base + 0.3 * A + trim(B, 0.3) |> save(\"plain.safetensors\")\nbase |> save(\"copy.safetensors\", dtype = \"bf16\")" |> ignore
    match pin s "base + A + B" with
    | Ok lines -> Assert.Equal(3, lines.Length)
    | Result.Error found -> failwith $"%A{found}"
    Assert.InRange(s.Evaluator.PinnedBytes, 3L * 545_024L, 3L * 600_000L)
    s.Do "base + 0.3 * A + trim(B, 0.3) |> save(\"pinned.safetensors\")\nbase |> save(\"copy2.safetensors\", dtype = \"bf16\")" |> ignore
    let content name = load (s.Folder.File name) |> Map.map (fun _ (_, v) -> v)
    Assert.Equal<Map<string, float[]>>(content "plain.safetensors", content "pinned.safetensors")
    Assert.Equal<Map<string, float[]>>(content "copy.safetensors", content "copy2.safetensors")
    s.Evaluator.Unpin()
    Assert.Equal(0L, s.Evaluator.PinnedBytes)
    near (normOf s.Folder [ "shapes", 1.0 ]) (fst (s.Number "norm(C)"))

[<Fact>]
let ``what doesn't fit into the memory is not pinned`` () =
    use s = new Session((64L <<< 20) + 1_000_000L)
    s.Do three |> ignore
    let fault = Assert.Throws<FaultException>(fun () -> pin s "A + B" |> ignore)
    Assert.Contains(":set memory", fault.Message)
    Assert.Equal(0L, s.Evaluator.PinnedBytes)
    match pin s "base" with
    | Ok _ -> Assert.True(s.Evaluator.PinnedBytes > 0L)
    | Result.Error found -> failwith $"%A{found}"

[<Fact>]
let ``a pinned file that changes is pinned again`` () =
    use s = new Session()
    s.Do three |> ignore
    pin s "A" |> ignore
    replace s.Folder "digits.safetensors" "shapes.safetensors"
    near (normOf s.Folder [ "shapes", 1.0 ]) (fst (s.Number "norm(A)"))
    Assert.True(s.Evaluator.PinnedBytes > 0L)

[<Fact>]
let ``nothing to pin is said`` () =
    use s = new Session()
    Assert.Throws<FaultException>(fun () -> pin s "1 + 1" |> ignore) |> ignore
    match pin s "nope" with
    | Result.Error found -> Assert.Contains(found, fun d -> d.Message.Contains "nope")
    | Ok _ -> failwith "pinned"
