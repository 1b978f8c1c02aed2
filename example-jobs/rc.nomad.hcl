# FreeBSD only: services of a whole FreeBSD, started by rc(8) as on a host. The image is a pot with a
# base system; what its rc.conf enables is started, and the task runs until the last line ends.
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/rc.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "rc" {
  constraint {
    attribute = "${attr.driver.pot.host}"
    value     = "freebsd"
  }

  group "rc" {
    network {
      port "http" {
        to = 80
      }
    }

    task "system" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/sh"
        args    = ["-c", "/bin/sh /etc/rc && exec tail -n +1 -F /var/log/messages"]
      }

      resources {
        cpu    = 200 # MHz
        memory = 256 # MiB, though Nomad calls it MB
      }
    }
  }
}
