/// What only a process of its own shows: its streams, its signals, a full disk.
module Tva.Tests.ProcessTests

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Threading
open Tva
open Xunit

let private zoo = Repository.path "examples/zoo"

let private shell (command: string) =
    use p = Unchecked.nonNull (Process.Start(ProcessStartInfo("/bin/sh", [ "-c"; command ], RedirectStandardOutput = true, RedirectStandardError = true)))
    let out = p.StandardOutput.ReadToEnd()
    p.WaitForExit()
    p.ExitCode, out

let private needUnix () = Assert.SkipWhen(OperatingSystem.IsWindows(), "signals and mounts are a Unix matter")

[<Fact>]
let ``results on stdout, the rest on stderr`` () =
    use p = Command.start zoo [ "eval"; "print(\"λ\", 1/3); x" ]
    p.StandardInput.Close()
    let wrong = Command.finish p
    Assert.Equal(2, wrong.Status)
    Assert.Equal("", wrong.Out)
    Assert.Contains("`x` is not defined here", wrong.Error)
    use p = Command.start zoo [ "eval"; "print(\"λ\", 1/3)" ]
    p.StandardInput.Close()
    Assert.Equal({ Status = 0; Out = "λ 0.3333333\n"; Error = "" }, Command.finish p)

[<Fact>]
let ``a script on the standard input`` () =
    use p = Command.start zoo [ "-" ]
    p.StandardInput.Write "m = model(\"base.safetensors\")\nprint(numel(raw(m)))"
    p.StandardInput.Close()
    let ran = Command.finish p
    Assert.Equal("136256\n", ran.Out)
    Assert.Equal(0, ran.Status)

[<Fact>]
let ``a script through a pipe of the shell`` () =
    needUnix ()
    let text = "print(numel(raw(model(\\\"base.safetensors\\\"))))"
    let status, out = shell $"cd '{zoo}' && bash -c \"'{Command.executable}' run <(echo '{text}')\" 2>&1"
    Assert.Equal("136256\n", out)
    Assert.Equal(0, status)

[<Fact>]
let ``without a standard input there is nothing to read`` () =
    needUnix ()
    let status, out = shell $"'{Command.executable}' <&- 2>&1"
    Assert.StartsWith("tva, the task-vector algebra", out)
    Assert.Equal(2, status)

[<Fact>]
let ``a signal ends the wait for a script`` () =
    needUnix ()
    use p = Command.start zoo [ "-" ]
    // Until it is there to hear it: before, a signal ends it as it does any process.
    Thread.Sleep 1500
    shell $"kill -TERM {p.Id}" |> ignore
    Assert.Equal({ Status = 130; Out = ""; Error = "tva: cancelled: nothing was saved\n" }, Command.finish p)

[<Theory>]
[<InlineData("2>/dev/full")>]
[<InlineData("2>&-")>]
let ``what can't be said of a mistake leaves its exit status`` (redirection: string) =
    needUnix ()
    Assert.Equal((2, ""), shell $"'{Command.executable}' eval '1 +' {redirection}")
    Assert.Equal((0, "2\n"), shell $"'{Command.executable}' eval '1 + 1' {redirection}")

[<Fact>]
let ``a model of the hub that is in its cache is named there`` () =
    needUnix ()
    use temp = new TempFolder()
    for commit in [ "aaa"; "bbb" ] do
        Directory.CreateDirectory(temp.File $"models--org--name/snapshots/{commit}") |> ignore
    Directory.CreateDirectory(temp.File "models--org--name/refs") |> ignore
    File.WriteAllText(temp.File "models--org--name/refs/main", "bbb\n")
    let status, out = shell $"cd '{temp.Path}' && HF_HUB_CACHE='{temp.Path}' '{Command.executable}' eval 'model(\"org/name\")' 2>&1"
    Assert.Equal(1, status)
    Assert.Contains($"the Hugging Face cache has it: {temp.Path}/models--org--name/snapshots/bbb\n", out)

[<Fact>]
let ``a closed pipe ends quietly`` () =
    needUnix ()
    let status, out = shell $"'{Command.executable}' inspect '{zoo}/base.safetensors' 2>&1 | head -n 1"
    Assert.Equal(0, status)
    Assert.StartsWith("tensor", out)
    Assert.DoesNotContain("tva:", out)

/// A checkpoint of one tensor of zeros that takes no room on the disk.
let private sparse (path: string) (elements: int64) =
    let header = Encoding.UTF8.GetBytes("{\"w\":{\"dtype\":\"F32\",\"shape\":[" + string elements + "],\"data_offsets\":[0," + string (4L * elements) + "]}}")
    use file = File.Create path
    file.Write(BitConverter.GetBytes(uint64 header.Length), 0, 8)
    file.Write(header, 0, header.Length)
    file.SetLength(8L + int64 header.Length + 4L * elements)

[<Theory>]
[<InlineData("INT", 1)>]
[<InlineData("TERM", 1)>]
// `timeout` signals its child, and then the group that it is in.
[<InlineData("INT", 2)>]
[<InlineData("TERM", 2)>]
let ``a signal in the middle leaves nothing`` (signal: string, times: int) =
    needUnix ()
    use temp = new TempFolder()
    sparse (temp.File "big.safetensors") (1L <<< 28)
    Directory.CreateDirectory(temp.File "out") |> ignore
    use p = Command.start temp.Path [ "eval"; "m = model(\"big.safetensors\")\nm + 0.5 * exp(sin(raw(m))) |> save(\"out/m.safetensors\")"; "--threads"; "1" ]
    p.StandardInput.Close()
    let deadline = Stopwatch.StartNew()
    while Directory.GetFileSystemEntries(temp.File "out").Length = 0 && not p.HasExited && deadline.Elapsed < TimeSpan.FromMinutes 1.0 do
        Thread.Sleep 2
    Assert.False(p.HasExited, "it ended before it could be stopped")
    shell (String.Join("; ", List.replicate times $"kill -{signal} {p.Id}")) |> ignore
    let ran = Command.finish p
    Assert.Equal("tva: cancelled: nothing was saved\n", ran.Error)
    Assert.Equal(130, ran.Status)
    Assert.Empty(Directory.GetFileSystemEntries(temp.File "out"))

[<Fact>]
let ``a full disk is a fault and leaves nothing`` () =
    needUnix ()
    use temp = new TempFolder()
    let disk = temp.File "disk"
    Directory.CreateDirectory disk |> ignore
    let status, _ = shell $"mount -t tmpfs -o size=128k tmpfs '{disk}'"
    Assert.SkipWhen((status <> 0), "mounting a small disk takes rights that are missing here")
    try
        let ran = Command.runIn temp.Path "" [ "eval"; $"model(\"{zoo}/base.safetensors\") |> save(\"disk/m.safetensors\")" ]
        Assert.Equal(1, ran.Status)
        Assert.StartsWith("tva: ", ran.Error)
        Assert.Contains("m.safetensors", ran.Error)
        Assert.Contains("space", ran.Error)
        Assert.Empty(Directory.GetFileSystemEntries disk)
    finally
        shell $"umount '{disk}'" |> ignore
