/// `evaluate` and `sweep`: what is written for commands, how often they are started, in which order, and that nothing stays behind.
module Tva.Dsl.Tests.EvaluateTests

open System
open System.IO
open System.Threading
open Tva.Core
open Tva.Dsl
open Tva.Dsl.Typing
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

/// Prints each checkpoint's last number; notes how many it was given at once, and which.
let private script =
    "echo $# >> calls\nfor m in \"$@\"; do\n  echo \"$m\" >> paths\n  printf '{\"last\": %s, \"one\": 1}\\n' \"$(tail -c 4 \"$m\" | od -An -tf4 | tr -d ' ')\"\ndone\n"

let private each = "\"sh measure.sh {model}\""
let private together = "\"sh measure.sh {models}\""

let private start () =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "the measuring script is one for a Unix shell")
    let temp = new TempFolder()
    File.WriteAllText(temp.File "measure.sh", script)
    temp

let private allowed = { optionsOf uncached with Permissions = { Run = true; FSharp = false } }

let private models = $"base = model(\"{baseFile}\")\nA = delta(\"{taskFile names.Head}\", base)\n"

let private lines (temp: TempFolder) name = if File.Exists(temp.File name) then File.ReadAllLines(temp.File name) |> List.ofArray else []

/// How many models each start of the command was given.
let private calls temp = lines temp "calls" |> List.map int

let private gone (temp: TempFolder) =
    for path in lines temp "paths" do
        Assert.False(File.Exists path, $"{path} is still there")
        Assert.False(File.Exists(path + ".partial"))

let private go (temp: TempFolder) text =
    let ran = runWith allowed temp.Path (models + text)
    Assert.Empty(ran.Diagnostics |> List.map _.Message)
    gone temp
    ran

/// Runs a text that ends in a fault, whose message it gives.
let private fails (temp: TempFolder) text =
    let e = Assert.Throws<FaultException>(fun () -> runWith allowed temp.Path (models + text) |> ignore)
    gone temp
    e.Message

/// Outputs are laid out by name: `pos` is the last.
let private last path = read path |> Map.find "pos" |> Array.last

/// The last number of base + λ·A.
let private expected (lambda: float) =
    let o, a = last baseFile, last (taskFile names.Head)
    o + lambda * (a - o)

let private sweeping command range =
    $"def candidate(l: Scalar): Model = base + l * A\ndef score(m: Model): Scalar = evaluate(m, {command}).last\nscores = sweep(candidate, {range}, score)\nprint(scores)\nprint(best(scores))\n"

let private checkScores (ran: Ran) (values: float list) =
    let t = List.head (tables ran)
    Assert.Equal(values.Length, t.Rows.Length)
    for value, (_, row) in List.zip values t.Rows do
        Assert.Equal(value, row[0], 1e-12)
        Assert.Equal(expected value, row[1], 1e-6)
    let best = values |> List.maxBy expected
    Assert.Equal(best, numbers ran |> List.last, 1e-12)

[<Fact>]
let ``the models of a sweep are written in one pass`` () =
    use temp = start ()
    let ran = go temp (sweeping each "0..1 by 0.25")
    checkScores ran [ 0.0; 0.25; 0.5; 0.75; 1.0 ]
    Assert.Equal<(string * int64 * int64) list>([ "writing 5 models to evaluate", 2L * size, 5L * size ], passes ran)
    Assert.Equal<int list>([ 1; 1; 1; 1; 1 ], calls temp)
    Assert.Equal(5, (lines temp "paths" |> List.distinct).Length)

[<Fact>]
let ``a command for all gets every path at once and prints a line for each`` () =
    use temp = start ()
    let ran = go temp (sweeping together "0..1 by 0.05")
    checkScores ran [ for i in 0..20 -> float i * 0.05 ]
    Assert.Equal<(string * int64 * int64) list>([ "writing 21 models to evaluate", 2L * size, 21L * size ], passes ran)
    Assert.Equal<int list>([ 21 ], calls temp)

[<Fact>]
let ``many models are written in several passes`` () =
    use temp = start ()
    let ran = go temp (sweeping each "0..1 by 0.05")
    checkScores ran [ for i in 0..20 -> float i * 0.05 ]
    Assert.Equal<(int64 * int64) list>([ 2L * size, 16L * size; 2L * size, 5L * size ], passes ran |> List.map (fun (_, r, w) -> r, w))

[<Fact>]
let ``a basis is measured once and its models are written in one pass`` () =
    use temp = start ()
    let text = $"tasks = family(\"{zoo}/tasks/*.safetensors\", base)\nb = tasks @basis(3, \"svd\")\ndef candidate(l: Scalar): Model = base + l * sum(b)\ndef score(m: Model): Scalar = evaluate(m, {together}).last\nprint(sweep(candidate, 0..0.3 by 0.1, score))"
    let ran = go temp text
    Assert.Equal<(int64 * int64) list>([ 9L * size, 0L; 9L * size, 4L * size ], passes ran |> List.map (fun (_, r, w) -> r, w))
    Assert.Equal<int list>([ 4 ], calls temp)

[<Fact>]
let ``commands of both kinds share what is written`` () =
    use temp = start ()
    let ran = go temp $"x = evaluate(base + 0.5 * A, {each})\ny = evaluate(base - A, {together})\nz = evaluate(base + 0.5 * A, {together})\nprint(x.last, y.last, z.last)"
    Assert.Equal<(string * int64 * int64) list>([ "writing 2 models to evaluate", 2L * size, 2L * size ], passes ran)
    match shownBy ran with
    | [ [ Shown.Number x; Shown.Number y; Shown.Number z ] ] ->
        Assert.Equal(expected 0.5, x, 1e-6)
        Assert.Equal(expected -1.0, y, 1e-6)
        Assert.Equal(x, z)
    | other -> Assert.Fail $"{other}"
    Assert.Equal<int list>([ 1; 2 ], List.sort (calls temp))

[<Fact>]
let ``the same model is written and measured once`` () =
    use temp = start ()
    let ran = go temp $"m = base + 0.5 * A\nprint(evaluate(m, {each}).last)\nprint(evaluate(base + 0.5 * A, {each}).one + evaluate(m, {each}).last)"
    Assert.Equal(1, (passes ran).Length)
    Assert.Equal<int list>([ 1 ], calls temp)

[<Fact>]
let ``a model just saved is measured where it is`` () =
    use temp = start ()
    let ran = runWith allowed temp.Path (models + $"m = base + 0.5 * A\nm |> save(\"m.safetensors\")\nprint(evaluate(m, {each}).last)")
    Assert.Equal<string list>([ temp.File "m.safetensors" ], lines temp "paths")
    Assert.Equal(1, (passes ran).Length)
    Assert.True(File.Exists(temp.File "m.safetensors"))

[<Fact>]
let ``what depends on a measurement waits for it`` () =
    for command in [ each; together ] do
        use temp = start ()
        let ran = go temp $"x = evaluate(base + 0.5 * A, {command})\ny = evaluate(base + x.last * A, {command})\nz = evaluate(base + 0.25 * A, {command})\nprint(x.last)\nprint(y.last)\nprint(z.last)"
        let first = expected 0.5
        match numbers ran with
        | [ x; y; z ] ->
            Assert.Equal(first, x, 1e-6)
            Assert.Equal(expected first, y, 1e-6)
            Assert.Equal(expected 0.25, z, 1e-6)
        | other -> Assert.Fail $"{other}"
        Assert.Equal(2, (passes ran).Length)
        Assert.Equal(3, List.sum (calls temp))

[<Fact>]
let ``nothing is measured ahead of an assertion or a save`` () =
    for command in [ each; together ] do
        use temp = start ()
        let ran = go temp $"print(evaluate(base + 0.5 * A, {command}).last)\nassert norm(A) > 1000, \"too short\"\nprint(evaluate(base + A, {command}).last)"
        Assert.True(ran.Outcome.Value.IsAssertionFailed)
        Assert.Equal(1, List.sum (calls temp))
        Assert.Equal<float list>([ expected 0.5 ], numbers ran |> List.map (fun v -> if abs (v - expected 0.5) < 1e-6 then expected 0.5 else v))
        use temp = start ()
        let ran = go temp $"print(evaluate(base + 0.5 * A, {command}).last)\nbase - A |> save(\"x.safetensors\")\nprint(evaluate(base + A, {command}).last)"
        Assert.Equal<string list>([ "writing the model to evaluate"; "saving x.safetensors"; "writing the model to evaluate" ], passes ran |> List.map (fun (what, _, _) -> what))
        Assert.Equal<int list>([ 1; 1 ], calls temp)
        let order = ran.Events |> List.choose (function Event.Shown _ -> Some "shown" | Event.Saved _ -> Some "saved" | _ -> None)
        Assert.Equal<string list>([ "shown"; "saved"; "shown" ], order)

[<Fact>]
let ``what is shown comes in the order of the text`` () =
    use temp = start ()
    let ran = go temp $"print(evaluate(base, {together}).one, \"first\")\nprint(\"between\")\nprint(norm(A))\nprint(evaluate(base + A, {together}).last, \"second\")"
    let texts = shownBy ran |> List.map (List.choose (function Shown.Text t -> Some t | _ -> None))
    Assert.Equal<string list list>([ [ "first" ]; [ "between" ]; []; [ "second" ] ], texts)
    Assert.Equal<int list>([ 2 ], calls temp)

[<Theory>]
[<InlineData("sh measure.sh {models} | sed -n 1,2p", "a line for each of 3 models, and printed 2 lines")>]
[<InlineData("sh measure.sh {models}; echo '{}'", "a line for each of 3 models, and printed 4 lines")>]
[<InlineData("sh measure.sh {models} > all", "a line for each of 3 models, and printed 0 lines")>]
[<InlineData("sh measure.sh {models}; exit 3", "ended with status 3")>]
[<InlineData("sh measure.sh {models} | sed 's/{/[/'", "logs belong on its standard error")>]
[<InlineData("sh measure.sh {models} | tr '1' 'x'", "should print one JSON object of numbers")>]
[<InlineData("sh measure.sh {models} | sed 's/last/first/'", "printed no `last`")>]
[<InlineData("sh measure.sh {model} > all", "printed nothing")>]
[<InlineData("sh measure.sh {model}; exit 1", "ended with status 1")>]
[<InlineData("sh measure.sh {model} | sed 's/.*/[1]/'", "should print one JSON object of numbers")>]
let ``a command that fails is a fault and leaves no files`` (command: string) (message: string) =
    use temp = start ()
    Assert.Contains(message, fails temp (sweeping $"\"{command}\"" "0..1 by 0.5"))
    Assert.NotEmpty(lines temp "paths")

[<Fact>]
let ``blank lines and carriage returns don't count`` () =
    use temp = start ()
    File.WriteAllText(temp.File "noisy.sh", "sh measure.sh \"$@\" | while read -r line; do printf '\\n%s\\r\\n \\n' \"$line\"; done\n")
    let ran = go temp (sweeping "\"sh noisy.sh {models}\"" "0..1 by 0.5")
    checkScores ran [ 0.0; 0.5; 1.0 ]

[<Fact>]
let ``a run that is stopped while a command runs leaves no files`` () =
    use temp = start ()
    File.WriteAllText(temp.File "slow.sh", "echo \"$1\" >> paths\ntouch started\nsleep 100\n")
    use e = new Evaluator(allowed)
    Assert.Empty(e.Check("test.tva", temp.Path, models + "print(evaluate(base + A, \"sh slow.sh {model}\"))"))
    use stop = new CancellationTokenSource()
    let watcher =
        Tasks.Task.Run(fun () ->
            while not (File.Exists(temp.File "started")) do
                Thread.Sleep 10
            stop.Cancel())
    Assert.ThrowsAny<OperationCanceledException>(fun () -> e.Run(ignore, stop.Token) |> ignore) |> ignore
    watcher.Wait()
    Assert.Equal(1, (lines temp "paths").Length)
    gone temp

[<Fact>]
let ``paths with quotes and blanks reach the command whole`` () =
    use temp = start ()
    let folder = Path.Combine(temp.Path, "it's a \"folder\" $HOME")
    Directory.CreateDirectory folder |> ignore
    File.Copy(temp.File "measure.sh", Path.Combine(folder, "measure.sh"))
    let saved = Path.Combine(folder, "m odel.safetensors")
    let ran = runWith allowed folder (models + $"m = base + 0.5 * A\nm |> save(\"m odel.safetensors\")\nprint(evaluate(m, {together}).last)")
    Assert.Equal<string list>([ saved ], File.ReadAllLines(Path.Combine(folder, "paths")) |> List.ofArray)
    Assert.Equal(expected 0.5, List.head (numbers ran), 1e-6)
