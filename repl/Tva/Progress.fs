/// From a run's progress to lines on stderr: one that is redrawn where a person watches, else plain ones, few and only when it takes long.
namespace Tva

open System
open System.Globalization
open Tva.Core.Execution
open Tva.Core.Tensors

/// `clock` tells the time since some moment.
type Progress(host: Host, clock: unit -> TimeSpan) =
    /// Redrawing more often than this helps nobody.
    let redraw = TimeSpan.FromSeconds 0.1
    /// A line each, in a log.
    let plain = TimeSpan.FromSeconds 10.0
    // Events come from worker threads.
    let gate = obj ()
    let mutable drawn = 0
    let mutable started = TimeSpan.Zero
    let mutable last = TimeSpan.Zero
    let mutable what = ""
    let saved = ResizeArray<struct (string * int64)>()
    let mutable ended: struct (int64 * int64 * TimeSpan) voption = ValueNone

    let clear () =
        if drawn > 0 then
            host.Error.Write("\r" + String(' ', drawn) + "\r")
            drawn <- 0

    let text (p: RunProgress) (now: TimeSpan) =
        let spent = (now - started).TotalSeconds
        let rate = if spent > 0.0 then float p.BytesDone / spent else 0.0
        let share = if p.BytesTotal > 0L then min 1.0 (float p.BytesDone / float p.BytesTotal) else 0.0
        let percent = Math.Floor(share * 100.0).ToString("0", CultureInfo.InvariantCulture) + "%"
        let left =
            if rate > 0.0 && share > 0.0 then
                let seconds = float (max 0L (p.BytesTotal - p.BytesDone)) / rate
                ", " + Format.time (TimeSpan.FromSeconds(min seconds 1e8)) + " left"
            else
                ""
        let purpose = if what = "" then "" else what + ": "
        $"{purpose}{percent}, {Sizes.Text p.BytesDone} of {Sizes.Text p.BytesTotal}, {Sizes.Text(int64 rate)}/s{left}"

    let line (path: string, size: int64) =
        match ended with
        | ValueSome(read, written, elapsed) when elapsed > TimeSpan.Zero ->
            let rate = float (read + written) / elapsed.TotalSeconds
            $"saved {path} ({Sizes.Text size}, {Format.time elapsed}, {Sizes.Text(int64 rate)}/s)"
        | _ -> $"saved {path} ({Sizes.Text size})"

    let flush () =
        for struct (path, size) in saved do
            host.Error.WriteLine(line (path, size))
        saved.Clear()
        host.Error.Flush()

    /// Wipes the redrawn line and writes what waits; before anything else is written, and at the end.
    member _.Clear() =
        lock gate (fun () ->
            clear ()
            flush ())

    member _.Started(purpose: string) =
        lock gate (fun () ->
            clear ()
            flush ()
            what <- purpose
            ended <- ValueNone
            started <- clock ()
            last <- started)

    member _.Progressed(p: RunProgress) =
        lock gate (fun () ->
            let now = clock ()
            if host.Watched && now - last >= redraw then
                last <- now
                let line = text p now
                let line = if line.Length >= host.Width then line.Substring(0, max 1 (host.Width - 1)) else line
                host.Error.Write("\r" + line.PadRight drawn)
                host.Error.Flush()
                drawn <- line.Length
            elif not host.Watched && now - last >= plain then
                last <- now
                host.Error.WriteLine(text p now)
                host.Error.Flush())

    /// A file is there under its final name; said once the pass it came from has ended.
    member _.Saved(path: string, size: int64) =
        lock gate (fun () ->
            saved.Add(struct (path, size))
            if ended.IsSome then
                clear ()
                flush ())

    member _.Finished(read: int64, written: int64, elapsed: TimeSpan) =
        lock gate (fun () ->
            clear ()
            ended <- ValueSome(struct (read, written, elapsed))
            flush ())
