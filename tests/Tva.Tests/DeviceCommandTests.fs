/// `tva device` and --device as a person meets them: what is listed, what is said where a device is not there, and that files are the same.
module Tva.Tests.DeviceCommandTests

open System.IO
open System.Text.Json
open Tva.Core.Devices
open Tva.Tests
open Xunit

[<Fact>]
let ``the processor is always there, and what is missing is told with what to do`` () =
    let ran = Command.run [ "device" ]
    Assert.Equal(0, ran.Status)
    Assert.StartsWith("-  cpu: ", ran.Out)
    Assert.Contains("same bits as the CPU; ready", ran.Out)
    Assert.DoesNotContain(", 0 B,", ran.Out)
    for p in DeviceCatalog.Providers do
        match p.Missing with
        | null -> ()
        | missing -> Assert.Contains(missing, ran.Out)
    let json = Command.run [ "device"; "--json-lines" ]
    let ids = [ for line in json.Out.Split('\n', System.StringSplitOptions.RemoveEmptyEntries) -> string (JsonDocument.Parse(line).RootElement.GetProperty "id") ]
    Assert.Equal<string list>("cpu" :: [ for d in DeviceCatalog.Devices -> d.Id ], ids)

[<Fact>]
let ``a device that is not there ends the command, and nothing is written`` () =
    use temp = new TempFolder()
    let script = temp.Write("a.tva", $"""model("{Repository.path "examples/zoo/base.safetensors"}") |> save("out.safetensors")""")
    // What is called so by the language and the ways to devices is the machine's fault, anything else the command line's.
    for name, status in [ "opencl:99", 1; "99", 1; "torch:none", 1; "h9000", 2; "", 2 ] do
        for words in [ [ "run"; script ]; [ "plan"; script ]; [ "check"; script ] ] do
            let ran = Command.run (words @ [ "--device"; name ])
            Assert.Equal(status, ran.Status)
            Assert.StartsWith("tva: --device" + (if name = "" then ": " else $" {name}: "), ran.Error)
    Assert.False(File.Exists(temp.File "out.safetensors"))

[<Theory>]
[<InlineData("gup", "did you mean gpu?")>]
[<InlineData("cpuu", "did you mean cpu?")>]
[<InlineData("Nosuch", "choose cpu, gpu, auto")>]
let ``a name that no device has is a mistake in the command line`` (name: string, help: string) =
    let ran = Command.run [ "eval"; "1 + 1"; "--device"; name ]
    Assert.Equal(2, ran.Status)
    Assert.Equal("", ran.Out)
    Assert.StartsWith($"tva: --device {name}: no device is called so; {help}", ran.Error)

[<Theory>]
[<InlineData("cpu")>]
[<InlineData("CPU")>]
[<InlineData("auto")>]
let ``names that mean something everywhere are taken`` (name: string) =
    Assert.Equal((0, "2\n"), (let ran = Command.run [ "eval"; "1 + 1"; "--device"; name ] in ran.Status, ran.Out))

/// Through the options: a model larger than the device's memory, an amount too small, and one left to the engine.
[<Fact>]
let ``a run on a device writes the CPU's bytes`` () =
    let device = DeviceCatalog.Devices |> Seq.tryFind (fun d -> isNull d.Unusable && d.Exact)
    Assert.SkipWhen(device.IsNone, $"no device with the CPU's bits: {DeviceCatalog.Missing()}")
    use temp = new TempFolder()
    let zoo = Repository.path "examples/zoo"
    let text = $"base = model(\"{zoo}/base.safetensors\")\ntasks = family(\"{zoo}/tasks/*.safetensors\", base)\nbase + 0.4 * dare(tasks, 0.3, seed = 7) |> save(\"out.safetensors\")"
    let script = temp.Write("a.tva", text)
    let run options =
        let ran = Command.run ([ "run"; script ] @ options)
        let file = temp.File "out.safetensors"
        let bytes = if File.Exists file then File.ReadAllBytes file else [||]
        File.Delete file
        ran, bytes
    let _, expected = run []
    Assert.NotEmpty expected
    for options in [ [ "--device"; device.Value.Id ]; [ "--device"; device.Value.Id; "--device-memory"; "4MiB"; "--threads"; "1" ]; [ "--device"; "auto" ] ] do
        let ran, bytes = run options
        Assert.Equal(0, ran.Status)
        Assert.True((expected = bytes), String.concat " " options)
    let ran, bytes = run [ "--device"; device.Value.Id; "--device-memory"; "64KiB" ]
    Assert.Equal(1, ran.Status)
    Assert.Empty bytes
    Assert.Contains($"{device.Value.Name} ({device.Value.Id}): 64 KiB of its memory are too little", ran.Error)
    Assert.Contains("or compute with --device cpu", ran.Error)
