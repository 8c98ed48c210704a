/// The packages: made once, then used as others would, from a folder and without the projects.
module Tva.Tests.PackageTests

open System
open System.Diagnostics
open System.IO
open System.IO.Compression
open System.Reflection.PortableExecutable
open System.Text.Json
open System.Text.RegularExpressions
open Xunit

let private configuration =
#if DEBUG
    "Debug"
#else
    "Release"
#endif

/// Where the SDK has restored this repository's packages, as the restore itself noted: they are looked for there, nothing is fetched.
let private restored =
    use assets = JsonDocument.Parse(File.ReadAllText(Repository.path "repl/Tva/obj/project.assets.json"))
    [ for folder in assets.RootElement.GetProperty("packageFolders").EnumerateObject() -> folder.Name ]

/// Packs the built projects into a folder.
type Packages() =
    let temp = new TempFolder()
    let folder = temp.File "packages"

    let dotnet (working: string) (argv: string list) : Ran =
        let info = ProcessStartInfo("dotnet", argv, WorkingDirectory = working, RedirectStandardOutput = true, RedirectStandardError = true)
        // A test runner's own settings of the build are not for this one, and build servers would outlive it.
        for name in [ "MSBUILD_EXE_PATH"; "MSBuildSDKsPath"; "MSBuildExtensionsPath"; "MSBuildLoadMicrosoftTargetsReadOnly" ] do
            info.Environment.Remove name |> ignore
        for name, value in
            [ "NUGET_PACKAGES", temp.File "nuget"
              "RestoreFallbackFolders", String.concat ";" restored
              "RestoreSources", folder
              "UseSharedCompilation", "false"
              "MSBUILDDISABLENODEREUSE", "1"
              "DOTNET_CLI_TELEMETRY_OPTOUT", "1"
              "DOTNET_NOLOGO", "1" ] do
            info.Environment[name] <- value
        use p = new Process(StartInfo = info)
        Assert.True(p.Start())
        Command.finish p

    let require (ran: Ran) =
        Assert.True((ran.Status = 0), ran.Out + ran.Error)
        ran.Out

    do
        let info = dotnet Repository.root [ "pack"; "Dsl.sln"; "-c"; configuration; "--no-build"; "-o"; folder ]
        require info |> ignore

    member _.Folder = folder
    member _.Temp = temp
    member _.Dotnet(working: string, argv: string list) = dotnet working argv |> require

    interface IDisposable with
        member _.Dispose() = (temp :> IDisposable).Dispose()

/// Of a scripts' collection: builds take every core.
[<Collection("scripts")>]
type PackageTests(packages: Packages) =

    let copied (relative: string) =
        let target = packages.Temp.File relative
        for file in Directory.GetFiles(Repository.path ("examples/" + relative)) do
            Directory.CreateDirectory target |> ignore
            File.Copy(file, Path.Combine(target, string (Path.GetFileName file)))
        target

    [<Fact>]
    member _.``there is a package for each door, with what it needs``() =
        let names = [ for f in Directory.GetFiles packages.Folder -> string (Path.GetFileName f) ] |> List.sort
        Assert.Equal<string list>([ "Tva.Core.0.1.0.nupkg"; "Tva.Dsl.0.1.0.nupkg"; "Tva.Scripting.0.1.0.nupkg"; "tva.0.1.0.nupkg" ], names)
        let nuspec (id: string) =
            use zip = ZipFile.OpenRead(Path.Combine(packages.Folder, $"{id}.0.1.0.nupkg"))
            use reader = new StreamReader((Unchecked.nonNull (zip.GetEntry $"{id}.nuspec")).Open())
            reader.ReadToEnd()
        Assert.Contains("<dependency id=\"Tva.Core\" version=\"0.1.0\"", nuspec "Tva.Dsl")
        Assert.Contains("<packageType name=\"DotnetTool\"", nuspec "tva")

    [<Fact>]
    member _.``the C# example runs over the packages``() =
        let folder = copied "embedding"
        let zoo = Repository.path "examples/zoo"
        // The packages are elsewhere here than beside the repository.
        File.WriteAllText(Path.Combine(folder, "nuget.config"), File.ReadAllText(Path.Combine(folder, "nuget.config")).Replace("../../out/packages", packages.Folder))
        packages.Dotnet(folder, [ "build"; "-c"; "Release"; "-v"; "q" ]) |> ignore
        Assert.True(File.Exists(Path.Combine(folder, "bin/Release/net10.0/Tva.Dsl.dll")))
        let lines = (packages.Dotnet(folder, [ "bin/Release/net10.0/Embedding.dll"; zoo ])).Split('\n', StringSplitOptions.RemoveEmptyEntries)
        Assert.Matches("^TVA03\\d\\d: `digit` is not defined here", lines[0])
        let norm = Command.runIn zoo "" [ "eval"; "norm(model(\"tasks/digits.safetensors\") - model(\"base.safetensors\"))" ]
        let told = Regex.Match(lines[1], "norm\\(A\\) = ([0-9.]+)$")
        Assert.Equal(Double.Parse norm.Out, Double.Parse told.Groups[1].Value, 1e-3)
        Assert.Equal("8 merges at once", lines[2])
        // The same function written in TVA.
        let soft = Command.runIn zoo "" [ "eval"; "def soft(x: Delta, k: Scalar): Delta = sign(x) * max(abs(x) - k, 0)\nnorm(soft(model(\"tasks/digits.safetensors\") - model(\"base.safetensors\"), 0.001))" ]
        Assert.Equal(Double.Parse soft.Out, Double.Parse(lines[3].Substring(lines[3].IndexOf ": " + 2)), 1e-3)
        Assert.Contains("F# inside a script is not allowed", lines[4])
        Assert.Contains("\"/etc/passwd\" is not allowed", lines[5])

    [<Fact>]
    member _.``the README's C# is the example's``() =
        let readme = File.ReadAllText(Repository.path "README.md")
        let start = readme.IndexOf "```csharp\n" + 10
        let snippet = readme.Substring(start, readme.IndexOf("\n```", start) - start).Split('\n', StringSplitOptions.RemoveEmptyEntries)
        let program = File.ReadAllLines(Repository.path "examples/embedding/Program.cs")
        let mutable at = 0
        for line in snippet do
            at <- Array.IndexOf(program, line, at) + 1
            Assert.True((at > 0), $"not in this order in the example: {line}")

    [<Fact>]
    member _.``the F# example runs over the packages``() =
        let folder = packages.Temp.File "fsx"
        Directory.CreateDirectory folder |> ignore
        let script = Path.Combine(folder, "notebook.fsx")
        let text = File.ReadAllText(Repository.path "examples/notebook.fsx")
        Assert.Contains("#i \"nuget: ../out/packages\"", text)
        // As written, but for the two folders beside it.
        let examples = "\"" + Repository.path "examples" + "\""
        File.WriteAllText(script, text.Replace("../out/packages", packages.Folder).Replace("__SOURCE_DIRECTORY__", examples))
        let out = packages.Dotnet(folder, [ "fsi"; "--quiet"; script ])
        Assert.Contains("most alike to digits: ", out)
        Assert.Matches("strength 0\\.2: [0-9.]+\\n", out)
        Assert.Matches("\\d+ tensors, \\d+ bytes in memory", out)

    [<Fact>]
    member _.``the command installs as a tool``() =
        let place = packages.Temp.File "tools"
        packages.Dotnet(packages.Temp.Path, [ "tool"; "install"; "tva"; "--version"; "0.1.0"; "--tool-path"; place; "--add-source"; packages.Folder ]) |> ignore
        let info = ProcessStartInfo(Path.Combine(place, "tva"), [ "eval"; "1 + 1" ], RedirectStandardOutput = true, RedirectStandardError = true)
        use p = new Process(StartInfo = info)
        Assert.True(p.Start())
        Assert.Equal({ Status = 0; Out = "2\n"; Error = "" }, Command.finish p)
        // The F# compiler is found beside it.
        let info = ProcessStartInfo(Path.Combine(place, "tva"), [ "eval"; "fs \"List.sum [ 1..4 ]\""; "--allow-fsharp" ], RedirectStandardOutput = true, RedirectStandardError = true)
        use p = new Process(StartInfo = info)
        Assert.True(p.Start())
        Assert.Equal({ Status = 0; Out = "10\n"; Error = "" }, Command.finish p)

    [<Fact>]
    member _.``a package for one platform is compiled for it``() =
        Assert.SkipUnless((configuration = "Release"), "nothing is compiled ahead in Debug")
        let folder = packages.Temp.File "platform"
        let platform = System.Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier
        packages.Dotnet(Repository.path "repl/Tva", [ "pack"; "-c"; configuration; "-r"; platform; "-o"; folder; "-v"; "q"; $"-p:RestorePackagesPath={restored.Head}" ]) |> ignore
        use zip = ZipFile.OpenRead(Path.Combine(folder, "tva.0.1.0.nupkg"))
        for name in [ "tva"; "Tva.Core"; "Tva.Dsl"; "FSharp.Core"; "Argu" ] do
            use bytes = new MemoryStream()
            use entry = (Unchecked.nonNull (zip.GetEntry $"tools/net10.0/{platform}/{name}.dll")).Open()
            entry.CopyTo bytes
            bytes.Position <- 0L
            use image = new PEReader(bytes)
            Assert.True((Unchecked.nonNull image.PEHeaders.CorHeader).ManagedNativeHeaderDirectory.Size > 0, name)

    interface IClassFixture<Packages>
