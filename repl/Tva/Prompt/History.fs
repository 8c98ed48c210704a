/// What was typed, kept between runs in a file of the user's own; where it can't be kept the prompt goes on without.
namespace Tva.Prompt

open System
open System.IO
open System.Text

module History =

    /// Entries kept.
    let private most = 5_000

    /// A pasted script is no line to come back to.
    let private longest = 20_000

    let private escape (text: string) = text.Replace("\\", "\\\\").Replace("\n", "\\n").Replace("\r", "\\r")

    let private unescape (line: string) =
        let b = StringBuilder()
        let mutable i = 0
        while i < line.Length do
            if line[i] = '\\' && i + 1 < line.Length then
                b.Append(match line[i + 1] with 'n' -> '\n' | 'r' -> '\r' | c -> c) |> ignore
                i <- i + 2
            else
                b.Append line[i] |> ignore
                i <- i + 1
        b.ToString()

    /// `$XDG_STATE_HOME/tva/history`, by default under `~/.local/state`.
    let defaultPath () =
        let state =
            match Environment.GetEnvironmentVariable "XDG_STATE_HOME" with
            | null
            | "" -> Path.Combine(Environment.GetFolderPath Environment.SpecialFolder.UserProfile, ".local", "state")
            | folder -> folder
        if Path.IsPathRooted state then Some(Path.Combine(state, "tva", "history")) else None

    let private ownFile = UnixFileMode.UserRead ||| UnixFileMode.UserWrite
    let private ownFolder = ownFile ||| UnixFileMode.UserExecute

    /// For the user's eyes only, whatever the umask.
    let private openOwn (path: string) (mode: FileMode) =
        let folder = Path.GetDirectoryName path |> Unchecked.nonNull
        if OperatingSystem.IsWindows() then
            Directory.CreateDirectory folder |> ignore
            new FileStream(path, mode, FileAccess.Write, FileShare.ReadWrite)
        else
            if not (Directory.Exists folder) then
                Directory.CreateDirectory(folder, ownFolder) |> ignore
            let options = FileStreamOptions(Mode = mode, Access = FileAccess.Write, Share = FileShare.ReadWrite, UnixCreateMode = Nullable ownFile)
            let stream = new FileStream(path, options)
            if File.GetUnixFileMode path <> ownFile then
                File.SetUnixFileMode(path, ownFile)
            stream

    let private isIO (e: exn) = e :? IOException || e :? UnauthorizedAccessException || e :? ArgumentException || e :? NotSupportedException

    /// The entries, oldest first; none where there is no file or it can't be read.
    let load (path: string option) : string list =
        match path with
        | None -> []
        | Some path ->
            try
                let lines = File.ReadAllLines path |> Array.filter ((<>) "")
                let kept = lines |> Array.skip (max 0 (lines.Length - most))
                // Twice as many lines as are kept: time to make it short again.
                if lines.Length > 2 * most then
                    let partial = path + ".partial"
                    (use writer = new StreamWriter(openOwn partial FileMode.Create)
                     for line in kept do
                         writer.Write(line + "\n"))
                    File.Move(partial, path, true)
                kept |> Array.map unescape |> List.ofArray
            with e when isIO e ->
                []

    /// Adds one; what went wrong, where it can't be kept.
    let add (path: string option) (entry: string) : string option =
        match path with
        | Some path when entry.Length <= longest ->
            try
                use writer = new StreamWriter(openOwn path FileMode.Append, UTF8Encoding false)
                writer.Write(escape entry + "\n")
                None
            with e when isIO e ->
                Some $"the history can't be kept in {path}: {e.Message}"
        | _ -> None
