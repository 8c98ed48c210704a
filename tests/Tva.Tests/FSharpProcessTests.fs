/// F# in the command: who loads the compiler, what it needs of the machine, and how it is stopped.
module Tva.Tests.FSharpProcessTests

open System
open System.Diagnostics
open System.IO
open System.Threading
open Xunit

let private run (executable: string) (environment: (string * string) list) (argv: string list) =
    let info = ProcessStartInfo(executable, argv, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true)
    for name, value in environment do
        info.Environment[name] <- value
    use p = Unchecked.nonNull (Process.Start info)
    p.StandardInput.Close()
    Command.finish p

let private home = Path.GetDirectoryName Command.executable |> Unchecked.nonNull

[<Fact>]
let ``what holds no F# does without the compiler`` () =
    use temp = new TempFolder()
    let isOfCompiler (name: string) = name.StartsWith "FSharp.Compiler" || name.StartsWith "FSharp.Dependency" || name.StartsWith "Tva.Scripting"
    for file in Directory.EnumerateFiles home do
        let name = Path.GetFileName file |> Unchecked.nonNull
        // The list of assemblies is left out too: .NET asks for all that stand there.
        if not (isOfCompiler name || name = "tva.deps.json") then
            File.Copy(file, temp.File name)
    let zoo = Repository.path "examples/zoo"
    let ran = run (temp.File(Path.GetFileName Command.executable |> Unchecked.nonNull)) [] [ "eval"; $"print(norm(model(\"{zoo}/tasks/digits.safetensors\") - model(\"{zoo}/base.safetensors\")) > 0)" ]
    Assert.Equal("true\n", ran.Out)
    Assert.Equal(0, ran.Status)

[<Fact>]
let ``F# needs the runtime and no SDK`` () =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "links take rights there")
    use temp = new TempFolder()
    let rec up n (path: string) = if n = 0 then path else up (n - 1) (Path.GetDirectoryName path |> Unchecked.nonNull)
    let dotnet = up 4 typeof<obj>.Assembly.Location
    for folder in [ "shared"; "host" ] do
        Directory.CreateSymbolicLink(temp.File folder, Path.Combine(dotnet, folder)) |> ignore
    let text = "def f(x: Scalar): Scalar = fs \"fun x -> x + 1.0f\"\nprint(f(1), fs \"[ for i in 1..2 -> 1.0 / float i ]\")"
    let ran = run Command.executable [ "DOTNET_ROOT", temp.Path; "PATH", temp.Path ] [ "eval"; text; "--allow-fsharp" ]
    Assert.Equal("", ran.Error)
    Assert.Equal("2 [1, 0.5]\n", ran.Out)

[<Fact>]
let ``Ctrl-C ends F# that loops for ever`` () =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are a Unix matter")
    use temp = new TempFolder()
    let mark = temp.File "mark"
    use p = Command.start temp.Path [ "eval"; $"x = fs \"System.IO.File.WriteAllText(@\\\"{mark}\\\", \\\"\\\"); (while true do ()); 1\""; "--allow-fsharp" ]
    p.StandardInput.Close()
    let watch = Stopwatch.StartNew()
    while not (File.Exists mark) && watch.Elapsed < TimeSpan.FromSeconds 60. && not p.HasExited do
        Thread.Sleep 20
    let send (signal: string) =
        use kill = Unchecked.nonNull (Process.Start("/bin/sh", [ "-c"; $"kill -{signal} {p.Id}" ]))
        kill.WaitForExit()
    send "INT"
    // What runs in a shell's background is deaf to Ctrl-C, and so is what it starts; the other signal is answered alike.
    if not (p.WaitForExit 10_000) then
        send "TERM"
    Assert.True(p.WaitForExit 20_000)
    Assert.Equal(130, (Command.finish p).Status)
