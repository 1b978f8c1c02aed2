# Attributes of the jail, and limits beside cpu and memory. The operator must allow the attributes in
# the plugin's config block: allow_attributes = ["exec_stop", "no-tmpfs"]
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/limits.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "limits" {
  group "limits" {
    task "web" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", ":8080"]

        attributes = [
          "exec_stop:/bin/hello exit 0", # runs in the pot before it is stopped
          "no-tmpfs:NO",                 # a /tmp in memory
        ]

        cpu_hard_limit = true # cpu is a limit, and not only a share

        limits {
          maxproc   = 64   # processes
          wallclock = "8h" # then the command is killed

          # FreeBSD only: disk = "1GiB", openfiles = 1024, readbps = "10MiB", writebps, readiops and
          # writeiops.
        }
      }

      resources {
        cpu        = 100 # MHz
        memory     = 64  # MiB, though Nomad calls it MB
        memory_max = 128
      }
    }
  }
}
