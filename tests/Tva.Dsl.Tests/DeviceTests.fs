/// Texts on every device there is, against the CPU: golden merges, and whatever the language can say that a device or its host must do.
module Tva.Dsl.Tests.DeviceTests

open System
open System.IO
open System.Threading
open Tva.Core
open Tva.Core.Devices
open Tva.Core.Execution
open Tva.Dsl
open Tva.Tests
open Xunit
open Tva.Dsl.Tests.Scripts

let private usable = DeviceCatalog.Devices |> Seq.filter (fun d -> isNull d.Unusable) |> List.ofSeq

/// Ids; where there is no device one row, which is skipped and says what to install.
let devices = [ for id in (match usable with [] -> [ "(none)" ] | ds -> ds |> List.map _.Id) -> [| box id |] ]

let private optionsOn (device: string) =
    Assert.SkipWhen((device = "(none)"), $"no device: {DeviceCatalog.Missing()}")
    EvaluatorOptions.Default.WithDevice(device)

/// Runs a text on the CPU and on a device; both write OUT. Returns the folder's files after each.
let private both (device: string) folder (text: string) =
    use temp = new TempFolder()
    let on (options: EvaluatorOptions) =
        let out = temp.File "out.safetensors"
        File.Delete out
        let ran = runWith { options with Run = { options.Run with Cache = false } } folder (text.Replace("OUT", out))
        Assert.Empty ran.Diagnostics
        Assert.Equal(Some Outcome.Completed, ran.Outcome)
        let shown = ran.Events |> List.choose (function Event.Shown(_, items) -> Some(sprintf "%A" items) | Event.Warned text -> Some text | _ -> None)
        shown, (if File.Exists out then File.ReadAllBytes out else [||])
    let device = optionsOn device
    on EvaluatorOptions.Default, on device

let private same device folder text =
    let (shown, bytes), (shownThere, bytesThere) = both device folder text
    Assert.Equal<string list>(shown, shownThere)
    if (DeviceCatalog.Find device).Exact then
        Assert.True(bytes.AsSpan().SequenceEqual(bytesThere), $"other bytes than the CPU's: {text}")

[<Theory>]
[<MemberData(nameof devices)>]
let ``every golden merge`` (device: string) =
    let options = optionsOn device
    for folder in [ "merge-f32"; "merge-bf16" ] do
        let home = Path.Combine(golden, folder)
        for name, case in Golden.cases home do
            use temp = new TempFolder()
            let run (options: EvaluatorOptions) (out: string) =
                let ran = runWith options home ((GoldenTests.script case).Replace("OUT", out))
                Assert.Empty ran.Diagnostics
            run options (temp.File "there.safetensors")
            Golden.compare home case (temp.File "there.safetensors")
            if (DeviceCatalog.Find device).Exact then
                run EvaluatorOptions.Default (temp.File "here.safetensors")
                let payload file =
                    use c = Checkpoints.Checkpoint.Open(temp.File file)
                    [ for t in c.Tensors do
                          let bytes = Array.zeroCreate<byte> (int t.Bytes)
                          c.Read(t, 0L, bytes)
                          t.Name, Convert.ToHexString bytes ]
                Assert.True((payload "here.safetensors" = payload "there.safetensors"), $"{folder}/{name} has other bytes than the CPU's")

let private zoo = "base = model(\"zoo/base.safetensors\")\ntasks = family(\"zoo/tasks/*.safetensors\", base)\n"

[<Theory>]
[<MemberData(nameof devices)>]
let ``bases, random masks, ranks, low ranks, quantiles and tables`` (device: string) =
    for text in
        [ "small = tasks @basis(4)\nbase + 0.3 * sum(small) - 0.5 * small.digits |> save(\"OUT\")"
          "base + 0.4 * dare(tasks, 0.3, seed = 7) |> save(\"OUT\", dtype = \"bf16\")"
          "base + 0.2 * della(tasks, density = 0.4, seed = 3) |> save(\"OUT\", dtype = \"f16\")"
          "base + lowrank(tasks.digits, 4) |> save(\"OUT\")"
          "base + 0.6 * ties(tasks, density = 0.2) |> save(\"OUT\", dtype = \"f8_e4m3\")"
          "similarity(tasks)\nnorm(tasks.digits)" ] do
        same device examples (zoo + text)

[<Theory>]
[<MemberData(nameof devices)>]
let ``a plan tells the device, and what the cpu does`` (device: string) =
    let explained (options: EvaluatorOptions) text =
        use e = new Evaluator(options)
        Assert.Empty(e.Check("test.tva", examples, zoo + text))
        e.Explain(), e.ExplainJson()
    let text, json = explained (optionsOn device) "base + lowrank(sum(tasks), 4) |> save(\"/tmp/never.safetensors\")"
    Assert.Contains($"({device}), with ", text)
    Assert.Contains("whole matrices on the cpu", text)
    Assert.Contains("\"device\":[\"computed on ", json)
    let text, _ = explained (EvaluatorOptions.Default.WithDevice "auto") "base + 0.3 * sum(tasks) |> save(\"/tmp/never.safetensors\")"
    Assert.Contains("computed on the cpu: its cost on a device is all transfer", text)
    let text, json = explained EvaluatorOptions.Default "base + 0.3 * sum(tasks) |> save(\"/tmp/never.safetensors\")"
    Assert.DoesNotContain("computed on", text)
    Assert.DoesNotContain("\"device\"", json)

/// What is pinned is copied to the device once, and is nobody's there once it is pinned no more.
[<Theory>]
[<MemberData(nameof devices)>]
let ``pinned checkpoints stay on the device`` (device: string) =
    let options = optionsOn device
    let held () = DeviceChoice(device).HeldBytes
    let before = held ()
    use e = new Evaluator({ options with Session = true; Run = { options.Run with Cache = false } })
    let run text =
        let events = ResizeArray<Event>()
        Assert.Empty(e.Check("<p>", examples, text))
        Assert.Equal(Outcome.Completed, e.Run((fun ev -> lock events (fun () -> events.Add ev)), CancellationToken.None))
        let bytes = events |> Seq.sumBy (function Event.Finished(read, _, _) -> read | _ -> 0L)
        bytes, [ for e in events do match e with Event.Shown(_, items) -> sprintf "%A" items | _ -> () ]
    run zoo |> ignore
    match e.Pin(examples, "base + tasks.digits", ignore, CancellationToken.None) with
    | Ok _ -> ()
    | Result.Error found -> failwith $"{found}"
    let first, value = run "l1(tasks.digits)"
    let second, _ = run "l1(2 * tasks.digits)"
    Assert.True(first > 0L)
    Assert.Equal(0L, second)
    Assert.True(held () > before)
    e.Unpin()
    Assert.Equal(before, held ())
    let _, again = run "l1(1 * tasks.digits)"
    Assert.Equal<string list>(value, again)
