/// Runs that are killed, disks that are full, files that are too many: what is there afterwards. Campaigns are tests/bench/killer.py and
/// tests/bench/filler.py; the reader of the format is tests/reader.py, which shares nothing with tva.
module Tva.Tests.SurvivalTests

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Text.Json
open System.Threading
open Xunit

let private zoo = Repository.path "examples/zoo"

let private program (name: string) (arguments: string list) (folder: string) =
    let info = ProcessStartInfo(name, arguments, WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true)
    try
        use p = Unchecked.nonNull (Process.Start info)
        let error = p.StandardError.ReadToEndAsync()
        let out = p.StandardOutput.ReadToEnd()
        p.WaitForExit()
        Some(p.ExitCode, out, error.Result)
    with :? ComponentModel.Win32Exception ->
        None

let private needUnix () = Assert.SkipWhen(OperatingSystem.IsWindows(), "signals, limits and mounts are a Unix matter")

/// A file's bytes, or those of a folder's files by name; empty where nothing is.
let private content (path: string) =
    if File.Exists path then [ "", Convert.ToHexString(File.ReadAllBytes path) ]
    elif Directory.Exists path then
        [ for f in Directory.GetFiles path |> Array.sort -> string (Path.GetFileName f), Convert.ToHexString(File.ReadAllBytes f) ]
    else []

/// Tensors of small numbers, so many megabytes of them.
let private big (path: string) (tensors: int) (elements: int) (seed: int) =
    let entry i = $"\"w{i}\":{{\"dtype\":\"F32\",\"shape\":[{elements}],\"data_offsets\":[{4 * elements * i},{4 * elements * (i + 1)}]}}"
    let header = Encoding.UTF8.GetBytes("{" + String.Join(",", [ for i in 0 .. tensors - 1 -> entry i ]) + "}")
    use file = File.Create path
    file.Write(BitConverter.GetBytes(uint64 header.Length), 0, 8)
    file.Write(header, 0, header.Length)
    let random = Random seed
    let words = Array.init elements (fun _ -> random.NextSingle())
    for _ in 1..tensors do
        file.Write(Runtime.InteropServices.MemoryMarshal.AsBytes(ReadOnlySpan<float32> words))

[<Theory>]
[<InlineData("out.safetensors", "")>]
[<InlineData("out", ", shard = \"12MB\"")>]
let ``a run killed at any moment leaves the old or the new, and is gone on with`` (name: string, shard: string) =
    needUnix ()
    use temp = new TempFolder()
    big (temp.File "big.safetensors") 12 (1 <<< 20) 1
    let text k = $"m = model(\"{temp.Path}/big.safetensors\")\nm + {k} * tanh(exp(sin(log(1 + abs(raw(m)))))) |> save(\"{name}\"{shard})"
    let start (folder: string) k options =
        let p = Command.start folder ([ "eval"; text k; "--threads"; "1" ] @ options)
        p.StandardInput.Close()
        p
    let reference (k: string) =
        let folder = temp.File("reference" + k)
        Directory.CreateDirectory folder |> ignore
        let watch = Stopwatch.StartNew()
        use p = start folder k []
        Assert.Equal(0, (Command.finish p).Status)
        content (Path.Combine(folder, name)), watch.Elapsed
    let old, _ = reference "0.25"
    let next, time = reference "0.5"
    Assert.NotEqual<(string * string) list>(old, next)
    let random = Random(name.Length)
    for kill in 0..3 do
        let folder = temp.File $"kill{kill}"
        Directory.CreateDirectory folder |> ignore
        let path = Path.Combine(folder, name)
        if kill % 2 = 1 then
            use p = start folder "0.25" []
            Assert.Equal(0, (Command.finish p).Status)
        let before = content path
        use p = start folder "0.5" []
        Thread.Sleep(time * (0.2 + 0.9 * random.NextDouble()))
        p.Kill()
        p.WaitForExit()
        let there = content path
        Assert.True((there = before || there = next), "neither the old output nor the new one is there")
        use resumed = start folder "0.5" [ "--resume" ]
        let ran = Command.finish resumed
        Assert.Equal(0, ran.Status)
        Assert.Equal<(string * string) list>(next, content path)
        Assert.Equal<string seq>([ path ], Directory.GetFileSystemEntries folder)
        Directory.Delete(folder, true)

[<Fact>]
let ``a run that was stopped under --resume is gone on with, the others are not`` () =
    needUnix ()
    use temp = new TempFolder()
    big (temp.File "big.safetensors") 16 (1 <<< 20) 2
    let text k = $"m = model(\"big.safetensors\")\nm + {k} * tanh(exp(sin(log(1 + abs(raw(m)))))) |> save(\"out/m\", shard = \"9MB\")"
    let stopped (options: string list) =
        use p = Command.start temp.Path ([ "eval"; text 0.5; "--threads"; "1" ] @ options)
        p.StandardInput.Close()
        // A shard of two tensors is begun with the third.
        let third = temp.File "out/m.partial/model-00003-of-00008.safetensors"
        let isThere () =
            try
                use f = File.Open(third, FileMode.Open, FileAccess.Read, FileShare.ReadWrite)
                f.Seek(-16L, SeekOrigin.End) |> ignore
                let tail = Array.zeroCreate<byte> 16
                f.Read(tail, 0, 16) = 16 && tail |> Array.exists ((<>) 0uy)
            with :? IOException -> false
        let deadline = Stopwatch.StartNew()
        while not (isThere ()) && not p.HasExited && deadline.Elapsed < TimeSpan.FromMinutes 1.0 do
            Thread.Sleep 2
        Assert.False(p.HasExited, "it ended before it could be stopped")
        program "kill" [ "-INT"; string p.Id ] temp.Path |> ignore
        Assert.Equal(130, (Command.finish p).Status)
    stopped []
    Assert.Empty(Directory.GetFileSystemEntries(temp.File "out"))
    stopped [ "--resume" ]
    let names = Directory.GetFileSystemEntries(temp.File "out") |> Array.map (Path.GetFileName >> string) |> Array.sort
    Assert.Equal<string[]>([| "m.journal.partial"; "m.partial" |], names)
    // Another expression has nothing to go on with.
    let other = Command.runIn temp.Path "" [ "eval"; (text 0.5).Replace("out/m", "out/n"); "--resume" ]
    Assert.DoesNotContain("went on", other.Error)
    let ran = Command.runIn temp.Path "" [ "eval"; text 0.5; "--resume" ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("m: went on after ", ran.Error)
    let tensors folder = content (temp.File folder) |> List.filter (fun (name, _) -> name <> "README.md")
    Assert.Equal<(string * string) list>(tensors "out/n", tensors "out/m")
    let again = Command.runIn temp.Path "" [ "eval"; text 0.5; "--resume" ]
    Assert.Equal("m is as it would be: nothing was written\n", again.Error)

[<Fact>]
let ``an independent reader finds the tensors of the base`` () =
    use temp = new TempFolder()
    let read (path: string) =
        match program "python3" [ Repository.path "tests/reader.py"; path ] temp.Path with
        | Some(0, out, _) -> JsonDocument.Parse out
        | Some(_, _, error) -> failwith error
        | None ->
            Assert.Skip "there is no python3 here"
            JsonDocument.Parse "{}"
    use was = read (Path.Combine(zoo, "base.safetensors"))
    let text =
        $"base = model(\"{zoo}/base.safetensors\")\nbase |> save(\"one.safetensors\")\nbase |> save(\"folder\")\nbase |> save(\"many\", shard = \"60KB\")\n"
        + "base |> save(\"mixed\", shard = \"60KB\", dtype = { \"*.bias\": \"f16\", else: \"bf16\" })\n"
        + $"delta(\"{zoo}/tasks/digits.safetensors\", base) |> save(\"d\", shard = \"1B\")"
    Assert.Equal(0, (Command.runIn temp.Path "" [ "eval"; text ]).Status)
    let tensors (json: JsonDocument) =
        [ for t in json.RootElement.GetProperty("tensors").EnumerateObject() -> t.Name, t.Value.GetRawText() ] |> List.sort
    for name in [ "one.safetensors"; "folder"; "many" ] do
        use found = read (temp.File name)
        Assert.Equal<(string * string) list>(tensors was, tensors found)
    use mixed = read (temp.File "mixed")
    for t in mixed.RootElement.GetProperty("tensors").EnumerateObject() do
        Assert.Equal((if t.Name.EndsWith ".bias" then "F16" else "BF16"), t.Value[0].GetString())
    use d = read (temp.File "d")
    let metadata = [ for f in d.RootElement.GetProperty("metadata").EnumerateObject() -> f.Value ]
    Assert.Equal(54, metadata.Length)
    for m in metadata do
        Assert.Equal("delta", m.GetProperty("tva.kind").GetString())
        Assert.Equal("pt", m.GetProperty("format").GetString())

[<Fact>]
let ``PyTorch loads what is written, bit for bit what it makes itself, and what it saves is read`` () =
    use temp = new TempFolder()
    let python =
        // Debian's python3-torch goes with Debian's python3, whatever stands before it on the path.
        [ "/usr/bin/python3"; "python3" ]
        |> List.tryFind (fun p -> match program p [ "-c"; "import torch" ] temp.Path with Some(0, _, _) -> true | _ -> false)
    match python with
    | None -> Assert.Skip "there is no PyTorch here"
    | Some python ->
        let ask arguments =
            match program python ([ Repository.path "tests/torch_tensors.py"; $"{zoo}/base.safetensors"; $"{zoo}/tasks/digits.safetensors" ] @ arguments) temp.Path with
            | Some(status, out, error) ->
                Assert.True((status = 0), error)
                out
            | None -> failwith "python went away"
        ask [ "save"; temp.File "base.pt" ] |> ignore
        let text =
            $"base = model(\"{zoo}/base.safetensors\")\npt = model(\"base.pt\")\nd = delta(\"{zoo}/tasks/digits.safetensors\", pt)\n"
            + String.Join("\n", [ for t in [ "f32"; "f16"; "bf16" ] -> $"pt |> save(\"{t}.safetensors\", dtype = \"{t}\"); d |> save(\"d{t}\", dtype = \"{t}\", shard = \"60KB\")" ])
            + "\nbase |> save(\"mixed\", shard = \"60KB\", dtype = { \"*.bias\": \"f16\", \"*norm*\": \"f32\", else: \"bf16\" })"
        let ran = Command.runIn temp.Path "" [ "eval"; text ]
        Assert.True((ran.Status = 0), ran.Error)
        let outputs = [ "f32.safetensors"; "f16.safetensors"; "bf16.safetensors"; "df32"; "df16"; "dbf16"; "mixed" ]
        Assert.Equal(outputs.Length, (ask outputs).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length)

[<Fact>]
let ``small disks of many sizes`` () =
    needUnix ()
    use temp = new TempFolder()
    let disk = temp.File "disk"
    Directory.CreateDirectory disk |> ignore
    // The output takes 550 KB as one file and 566 KB in a folder; tmpfs gives whole pages.
    for kilobytes in [ 4; 64; 512; 548; 560; 580; 600; 640; 2000 ] do
        match program "mount" [ "-t"; "tmpfs"; "-o"; $"size={kilobytes}k"; "tmpfs"; disk ] temp.Path with
        | Some(0, _, _) -> ()
        | _ -> Assert.Skip "mounting a small disk takes rights that are missing here"
        try
            for form in [ "m.safetensors\")"; "m\", shard = \"100KB\")" ] do
                let path = Path.Combine(disk, form.Split('"')[0])
                let ran = Command.runIn temp.Path "" [ "eval"; $"model(\"{zoo}/base.safetensors\") |> save(\"disk/{form}" ]
                if ran.Status = 0 then
                    Assert.Equal(0, (Command.run [ "verify"; path ]).Status)
                    Assert.Equal<string seq>([ path ], Directory.GetFileSystemEntries disk)
                    if File.Exists path then File.Delete path else Directory.Delete(path, true)
                else
                    Assert.Equal(1, ran.Status)
                    Assert.Contains(Path.GetFileName path |> string, ran.Error)
                    Assert.Contains("space", ran.Error)
                    Assert.Empty(Directory.GetFileSystemEntries disk)
                Assert.True(kilobytes < 2000 || ran.Status = 0, ran.Error)
        finally
            program "umount" [ disk ] temp.Path |> ignore

/// Runs a text with system calls on one file failing, as strace lets them.
let private failing (calls: string) (error: string) (file: string) (folder: string) (text: string) =
    needUnix ()
    match program "strace" [ "-qq"; "-o"; "/dev/null"; "true" ] folder with
    | Some(0, _, _) -> ()
    | _ -> Assert.Skip "there is no strace that may trace here"
    let inject = [ "-f"; "-qq"; "-o"; "/dev/null"; "-P"; Path.Combine(folder, file); "-e"; $"trace={calls}"; "-e"; $"inject={calls}:error={error}:when=1+" ]
    match program "strace" (inject @ [ Command.executable; "eval"; text; "--threads"; "1" ]) folder with
    | Some(status, _, message) -> status, message
    | None -> failwith "strace went away"

[<Theory>]
// Disks that write late tell it at the end only: fsync is the last to ask.
[<InlineData("fsync", "EIO", "can't finish the file: Input/output error")>]
[<InlineData("fsync", "ENOSPC", "can't finish the file: no space left on the disk")>]
[<InlineData("pwrite64", "EIO", "Input/output error")>]
[<InlineData("pwrite64", "EDQUOT", "the disk quota is used up")>]
let ``what the disk does not take is a fault and the old file stays`` (call: string) (error: string) (expected: string) =
    use temp = new TempFolder()
    let text k = $"base = model(\"{zoo}/base.safetensors\")\n{k} * base - {k - 1} * base |> save(\"m.safetensors\")"
    Assert.Equal(0, (Command.runIn temp.Path "" [ "eval"; text 2 ]).Status)
    let before = content (temp.File "m.safetensors")
    let status, message = failing call error "m.safetensors.partial" temp.Path (text 3)
    Assert.Contains(temp.File "m.safetensors: ", message)
    Assert.Contains(expected, message)
    Assert.Equal(1, status)
    Assert.Equal<(string * string) list>(before, content (temp.File "m.safetensors"))
    Assert.Equal<string seq>([ temp.File "m.safetensors" ], Directory.GetFileSystemEntries temp.Path)

[<Fact>]
let ``a failing read names the file and the byte`` () =
    use temp = new TempFolder()
    File.Copy(Path.Combine(zoo, "base.safetensors"), temp.File "b.safetensors")
    let status, message = failing "pread64" "EIO" "b.safetensors" temp.Path "model(\"b.safetensors\") |> save(\"m.safetensors\")"
    Assert.Equal(1, status)
    Assert.Contains(temp.File "b.safetensors: can't read", message)
    Assert.Contains("at byte ", message)
    Assert.Contains("Input/output error", message)
    Assert.Equal<string seq>([ temp.File "b.safetensors" ], Directory.GetFileSystemEntries temp.Path)

[<Theory>]
// Below 80 .NET itself does not start.
[<InlineData(90)>]
[<InlineData(120)>]
let ``too many open files are a fault`` (limit: int) =
    needUnix ()
    use temp = new TempFolder()
    for i in 1..80 do
        File.Copy(Path.Combine(zoo, "tasks/digits.safetensors"), temp.File $"t{i}.safetensors")
    let text = $"base = model(\"{zoo}/base.safetensors\")\nbase + 0.01 * sum(family(\"t*.safetensors\", base)) |> save(\"m\", shard = \"30KB\")"
    File.WriteAllText(temp.File "s.tva", text)
    match program "/bin/sh" [ "-c"; $"ulimit -n {limit} && exec '{Command.executable}' run s.tva" ] temp.Path with
    | Some(status, _, error) ->
        Assert.Equal(1, status)
        Assert.Contains("too many files are open; raise this process's limit (`ulimit -n`)", error)
        Assert.Contains(".safetensors: can't open it", error)
        Assert.False(Directory.Exists(temp.File "m"))
    | None -> Assert.Skip "there is no shell here"

[<Fact>]
let ``a folder that can't be written is a fault`` () =
    needUnix ()
    use temp = new TempFolder()
    Directory.CreateDirectory(temp.File "closed") |> ignore
    File.SetUnixFileMode(temp.File "closed", UnixFileMode.UserRead ||| UnixFileMode.UserExecute ||| UnixFileMode.OtherRead ||| UnixFileMode.OtherExecute)
    File.SetUnixFileMode(temp.Path, UnixFileMode.UserRead ||| UnixFileMode.UserWrite ||| UnixFileMode.UserExecute ||| UnixFileMode.OtherRead ||| UnixFileMode.OtherExecute)
    File.Copy(Path.Combine(zoo, "base.safetensors"), temp.File "b.safetensors")
    // Root may write everywhere, so root runs it as nobody.
    let asNobody = [ "setpriv"; "--reuid=65534"; "--regid=65534"; "--clear-groups" ]
    let user = if Environment.UserName = "root" then asNobody else []
    let run = user @ [ "env"; "HOME=" + temp.Path; Command.executable; "eval"; "model(\"b.safetensors\") |> save(\"closed/m\")" ]
    match program run.Head run.Tail temp.Path with
    | Some(status, _, _) when status = 126 || status = 127 -> Assert.Skip "nobody may not start tva where it is"
    | None -> Assert.Skip "there is no setpriv here"
    | Some(status, _, error) ->
        Assert.Equal(1, status)
        Assert.Contains("closed/m: can't create ", error)
        Assert.Contains("permission denied; allow this user to write there or save elsewhere", error)

[<Fact>]
let ``what is write-protected is not replaced, and the reason is the right one`` () =
    needUnix ()
    use temp = new TempFolder()
    let everyone = UnixFileMode.UserRead ||| UnixFileMode.UserWrite ||| UnixFileMode.UserExecute ||| UnixFileMode.OtherRead ||| UnixFileMode.OtherWrite ||| UnixFileMode.OtherExecute
    File.SetUnixFileMode(temp.Path, everyone)
    File.Copy(Path.Combine(zoo, "base.safetensors"), temp.File "b.safetensors")
    File.WriteAllText(temp.File "kept.safetensors", "kept")
    Directory.CreateDirectory(temp.File "kept") |> ignore
    Directory.CreateDirectory(temp.File "hidden") |> ignore
    for name in [ "kept.safetensors"; "kept" ] do
        File.SetUnixFileMode(temp.File name, UnixFileMode.UserRead ||| UnixFileMode.UserExecute ||| UnixFileMode.OtherRead ||| UnixFileMode.OtherExecute)
    File.SetUnixFileMode(temp.File "hidden", UnixFileMode.None)
    let asNobody = [ "setpriv"; "--reuid=65534"; "--regid=65534"; "--clear-groups" ]
    let user = if Environment.UserName = "root" then asNobody else []
    let save options (path: string) =
        let run = user @ [ "env"; "HOME=" + temp.Path; Command.executable; "eval"; $"model(\"b.safetensors\") |> save(\"{path}\"{options})" ]
        match program run.Head run.Tail temp.Path with
        | Some(status, _, _) when status = 126 || status = 127 ->
            Assert.Skip "nobody may not start tva where it is"
            ""
        | None ->
            Assert.Skip "there is no setpriv here"
            ""
        | Some(status, _, error) ->
            Assert.Equal(1, status)
            error
    Assert.Contains("kept.safetensors: is there and may not be written; make it writable, or save under another name", save "" "kept.safetensors")
    Assert.Contains("kept: is there and may not be written; make it writable, or save under another name", save ", shard = \"30KB\"" "kept")
    Assert.Contains("b.safetensors is a file and not a folder; save elsewhere", save "" "b.safetensors/x.safetensors")
    Assert.Contains("hidden/x.safetensors: can't look into its folder: permission denied; allow this user to write there", save "" "hidden/x.safetensors")
    // So that it can be taken away.
    File.SetUnixFileMode(temp.File "hidden", everyone)
    Assert.Equal("kept", File.ReadAllText(temp.File "kept.safetensors"))
    Assert.Empty(Directory.GetFileSystemEntries(temp.Path, "*.partial"))

[<Fact>]
let ``the size that is told of a link is that of what it leads to`` () =
    needUnix ()
    use temp = new TempFolder()
    File.CreateSymbolicLink(temp.File "link.safetensors", temp.File "real.safetensors") |> ignore
    match program Command.executable [ "eval"; "--json"; $"model(\"{zoo}/base.safetensors\") |> save(\"link.safetensors\")" ] temp.Path with
    | Some(status, out, _) ->
        Assert.Equal(0, status)
        let bytes = FileInfo(temp.File "real.safetensors").Length
        Assert.Contains($"\"bytes\":{bytes}", out.Replace(" ", ""))
    | None -> failwith "tva doesn't start"
