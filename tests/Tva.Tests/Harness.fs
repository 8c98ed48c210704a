/// Runs the command over given texts and streams, in this process or in its own.
namespace Tva.Tests

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Threading
open Tva
open Xunit

/// What a command left behind.
type Ran = { Status: int; Out: string; Error: string }

module Repository =

    // Not from the compiler: a deterministic build knows no folders of the machine.
    let root =
        let rec up (folder: DirectoryInfo) =
            if File.Exists(Path.Combine(folder.FullName, "Dsl.sln")) then folder.FullName
            else
                match folder.Parent with
                | null -> failwith "the tests run outside the repository"
                | parent -> up parent
        up (DirectoryInfo AppContext.BaseDirectory)

    let path (relative: string) = Path.Combine(root, relative)

/// A folder that goes with the test.
type TempFolder() =
    let folder = Directory.CreateTempSubdirectory "tva-tests-"
    member _.Path = folder.FullName
    member _.File(name: string) = Path.Combine(folder.FullName, name)

    member t.Write(name: string, text: string) =
        let full = t.File name
        Directory.CreateDirectory(Path.GetDirectoryName full |> Unchecked.nonNull) |> ignore
        File.WriteAllText(full, text)
        full

    interface IDisposable with
        member _.Dispose() = folder.Delete true

module Command =

    let host (folder: string) (stdin: string) (out: TextWriter) (error: TextWriter) =
        { In = new StringReader(stdin)
          Input = Stream.Null
          Out = out
          Error = error
          Watched = false
          Color = false
          Width = 0
          Folder = folder
          Cancel = CancellationToken.None
          Prompt = None }

    /// In this process; the working folder is `folder`.
    let runIn (folder: string) (stdin: string) (argv: string list) =
        use out = new StringWriter()
        use error = new StringWriter()
        let status = Tva.Command.main (host folder stdin out error) (Array.ofList argv)
        { Status = status; Out = out.ToString(); Error = error.ToString() }

    let run (argv: string list) = runIn Repository.root "" argv

    let eval (text: string) = run [ "eval"; text ]

    let configuration =
#if DEBUG
        "Debug"
#else
        "Release"
#endif

    let executable =
        let name = if OperatingSystem.IsWindows() then "tva.exe" else "tva"
        Repository.path $"repl/Tva/bin/{configuration}/net10.0/{name}"

    /// As a process of its own.
    let start (folder: string) (argv: string list) =
        let info =
            ProcessStartInfo(
                executable,
                argv,
                WorkingDirectory = folder,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                StandardOutputEncoding = UTF8Encoding false,
                StandardErrorEncoding = UTF8Encoding false
            )
        let p = new Process(StartInfo = info)
        Assert.True(p.Start())
        p

    let finish (p: Process) =
        let error = p.StandardError.ReadToEndAsync()
        let out = p.StandardOutput.ReadToEnd()
        p.WaitForExit()
        { Status = p.ExitCode; Out = out; Error = error.Result }
